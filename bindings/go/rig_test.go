package vdset

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A watchdog, not a measure: what hangs fails.
const patience = 30 * time.Second

var background = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, code Code) {
	t.Helper()
	if !errors.Is(err, code) {
		t.Fatalf("got %v, want %s", err, code.Name())
	}
}

// soon is a context that ends a test which hangs.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(background, patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until something is so.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

// meeting is a directory of this test's own.
func meeting(t testing.TB) string {
	directory, err := os.MkdirTemp("", "vdset-go-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(directory) })
	return directory
}

var setNumber atomic.Int32

// rig is a set with all roles in this process.
type rig struct {
	t         testing.TB
	directory string
	name      string
	set       *Set
	server    *Server
	devices   []*Device
	engines   []*ServerDevice
	reused    *ServerCommand
}

type plan struct {
	devices  int
	buffers  int // 0: one for each device.
	features Features
	config   Config
	options  SetOptions
}

const bufferSize = 65536

func deviceName(set string, i int) string {
	if i == 0 {
		return set
	}
	return fmt.Sprintf("%s-%d", set, i)
}

// newRig configures a set and opens its devices on both sides.
func newRig(t testing.TB, p plan) *rig {
	t.Helper()
	r := created(t, p)
	r.configure(p)
	for i := 0; i < p.devices; i++ {
		engine, err := r.server.OpenDevice(deviceName(r.name, i))
		must(t, err)
		r.engines = append(r.engines, engine)
	}
	for i := 0; i < p.devices; i++ {
		device, err := r.set.OpenDevice(deviceName(r.name, i))
		must(t, err)
		r.devices = append(r.devices, device)
	}
	return r
}

// created is a set that no server has opened.
func created(t testing.TB, p plan) *rig {
	t.Helper()
	r := &rig{t: t, directory: meeting(t), name: fmt.Sprintf("go%d", setNumber.Add(1))}
	p.config.DeviceCount = p.devices
	p.options.Directory = r.directory
	set, err := Create(r.name, p.config, &p.options)
	must(t, err)
	r.set = set
	t.Cleanup(func() { set.Close() })
	return r
}

func (r *rig) configure(p plan) {
	r.t.Helper()
	server, err := OpenServer(r.name, &JoinOptions{Directory: r.directory})
	must(r.t, err)
	r.server = server
	r.t.Cleanup(func() { server.Close() })
	if p.features == 0 {
		p.features = WriteMedia
	}
	if p.buffers == 0 {
		p.buffers = p.devices
	}
	must(r.t, server.BeginConfiguration(BaseConfiguration{Features: p.config.Features | p.features,
		BlockBytes: 512, MaxTransferBytes: 65536}))
	must(r.t, server.RequestBuffers(bufferSize, 0, p.buffers))
	must(r.t, server.EndConfiguration())
	_, err = r.set.GetConfiguration(soon(r.t))
	must(r.t, err)
}

// command is a Write or Read of a whole new buffer.
func (r *rig) command(code CommandCode) *ServerCommand {
	r.t.Helper()
	buffer, err := r.server.AllocateBuffer(bufferSize, 0)
	must(r.t, err)
	return &ServerCommand{Code: code, Size: bufferSize, Buffer: buffer}
}

// finish ends the set the normal way.
func (r *rig) finish() {
	r.t.Helper()
	for _, engine := range r.engines {
		must(r.t, engine.Close())
	}
	for _, device := range r.devices {
		_, err := device.GetCommand(soon(r.t))
		wantCode(r.t, err, ErrClose)
	}
	_, err := r.server.NextCompletion(soon(r.t))
	wantCode(r.t, err, ErrClose)
	must(r.t, r.server.Close())
	must(r.t, r.set.Close())
}

// threads of this process.
func threads(t testing.TB) int {
	tasks, err := filepath.Glob("/proc/self/task/*")
	must(t, err)
	return len(tasks)
}

// goroutinesOfPackage counts those with a function of this package on their stack that no test
// started.
func goroutinesOfPackage() int {
	buffer := make([]byte, 1<<20)
	count := 0
	for _, stack := range strings.Split(string(buffer[:runtime.Stack(buffer, true)]), "\n\n") {
		if strings.Contains(stack, "vdset.") && !strings.Contains(stack, "_test.go") {
			count++
		}
	}
	return count
}

// noneLeft waits until the goroutines of this package are gone; one that ends is there a while.
func noneLeft(t testing.TB) {
	t.Helper()
	eventually(t, "no goroutine of the package is left", func() bool {
		return goroutinesOfPackage() == 0
	})
}

func fill(bytes []byte, salt int) {
	for i := range bytes {
		bytes[i] = byte(i*7 + i>>8 + salt)
	}
}

func filled(bytes []byte, salt int) bool {
	for i := range bytes {
		if bytes[i] != byte(i*7+i>>8+salt) {
			return false
		}
	}
	return len(bytes) > 0
}
