package vdset

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The test program is also the other process of some tests.
func TestMain(m *testing.M) {
	switch role := os.Getenv("VDSET_GO_CHILD"); role {
	case "":
		os.Exit(m.Run())
	case "allocator":
		os.Exit(allocatorChild())
	default:
		os.Exit(peerChild(role))
	}
}

// child runs this program in a role; said is what it has printed until its line "ready".
func child(t *testing.T, role string, words ...string) *exec.Cmd {
	t.Helper()
	command := exec.Command("/proc/self/exe", words...)
	command.Env = append(os.Environ(), "VDSET_GO_CHILD="+role)
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	must(t, err)
	must(t, command.Start())
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
	})
	ready := make([]byte, 6)
	if n, err := output.Read(ready); err != nil || string(ready[:n]) != "ready\n" {
		t.Fatalf("the child said %q, %v", ready[:n], err)
	}
	return command
}

// peerChild does its part of a set until it is killed.
func peerChild(role string) int {
	name, directory := os.Args[1], os.Args[2]
	var err error
	if role == "secondary" {
		_, err = OpenInSecondary(name, &JoinOptions{Directory: directory})
	} else if role == "server" {
		var server *Server
		server, err = OpenServer(name, &JoinOptions{Directory: directory})
		for _, step := range []func() error{
			func() error {
				return server.BeginConfiguration(BaseConfiguration{WriteMedia, 512, 0, 65536})
			},
			func() error { return server.RequestBuffers(bufferSize, 0, 1) },
			func() error { return server.EndConfiguration() },
			func() error { _, err := server.OpenDevice(name); return err },
		} {
			if err == nil {
				err = step()
			}
		}
	} else {
		var set *Set
		set, err = Create(name, Config{DeviceCount: 1}, &SetOptions{Directory: directory})
		defer func() { _, _ = set.GetConfiguration(background) }()
	}
	if err != nil {
		println(err.Error())
		return 1
	}
	os.Stdout.WriteString("ready\n")
	time.Sleep(time.Hour)
	return 0
}

func TestDeathOfTheServer(t *testing.T) {
	r := created(t, plan{devices: 1})
	server := child(t, "server", r.name, r.directory)
	_, err := r.set.GetConfiguration(soon(t))
	must(t, err)
	device, err := r.set.OpenDevice(r.name)
	must(t, err)
	end := make(chan error, 1)
	go func() {
		_, err := device.GetCommand(background)
		end <- err
	}()
	asleep(t, &device.waits)
	must(t, server.Process.Signal(syscall.SIGKILL))
	wantCode(t, <-end, ErrAbort)
	reason, err := r.set.WaitForAbort(soon(t))
	must(t, err)
	if reason.Role != RoleServer || reason.Call != AbortDied || reason.Pid != server.Process.Pid {
		t.Errorf("%+v", reason)
	}
	must(t, r.set.Close())
}

func TestDeathOfThePrimary(t *testing.T) {
	directory := meeting(t)
	primary := child(t, "primary", "dies", directory)
	server, err := OpenServer("dies", &JoinOptions{Directory: directory})
	must(t, err)
	defer server.Close()
	must(t, server.BeginConfiguration(BaseConfiguration{WriteMedia, 512, 0, 65536}))
	must(t, server.RequestBuffers(bufferSize, 0, 1))
	must(t, server.EndConfiguration())
	end := make(chan error, 1)
	go func() { end <- server.RunCompletionAgent(background) }()
	asleep(t, &server.waits)
	must(t, primary.Process.Signal(syscall.SIGKILL))
	wantCode(t, <-end, ErrAbort)
	reason, err := server.AbortReason()
	must(t, err)
	if reason.Role != RolePrimary || reason.Call != AbortDied {
		t.Errorf("%+v", reason)
	}
}

func TestLossOfASecondary(t *testing.T) {
	r := created(t, plan{devices: 1})
	r.configure(plan{devices: 1})
	_, err := r.server.Loss(0)
	wantCode(t, err, ErrProtocol)
	helper := child(t, "secondary", r.name, r.directory)
	must(t, helper.Process.Signal(syscall.SIGKILL))
	for side, ask := range map[string]func(uint32) (Loss, error){
		"server": r.server.Loss, "primary": r.set.Loss} {
		var loss Loss
		eventually(t, "the "+side+" is told", func() bool {
			loss, err = ask(0)
			return err == nil
		})
		if want := (Loss{1, 1, AbortDied, helper.Process.Pid, 0, 0, 0, ""}); loss != want {
			t.Errorf("%s: %+v", side, loss)
		}
		_, err = ask(2)
		wantCode(t, err, ErrInvalid)
	}
}

func TestErrors(t *testing.T) {
	directory := meeting(t)
	_, err := OpenServer("nobody", &JoinOptions{Directory: directory})
	wantCode(t, err, ErrInvalid)
	var failure *Error
	if !errors.As(err, &failure) || failure.Code != ErrInvalid ||
		!strings.Contains(failure.Text, "nobody") || !strings.Contains(err.Error(), "VDSET_E_INVALID") {
		t.Errorf("%v", err)
	}
	var code Code
	if !errors.As(err, &code) || code != ErrInvalid || errors.Is(err, ErrAbort) {
		t.Errorf("code %v", code)
	}
	if !ErrTimeout.Timeout() || ErrAbort.Timeout() || ErrClose.Error() != "vdset: VDSET_E_CLOSE" {
		t.Error("codes")
	}
	for _, config := range []Config{{DeviceCount: -1}, {DeviceCount: 1 << 32},
		{DeviceCount: 1, ServerTimeout: -1}, {DeviceCount: 1, ServerTimeout: 1 << 62}} {
		_, err := Create("bad", config, &SetOptions{Directory: directory})
		wantCode(t, err, ErrInvalid)
	}
	for _, config := range []Config{{}, {DeviceCount: DevicesMax + 1},
		{DeviceCount: 1, Features: SkipBlocks}} {
		_, err := Create("bad", config, &SetOptions{Directory: directory})
		wantCode(t, err, ErrNotSupported)
	}
	for _, name := range []string{"", "a\x00b", "a\\b", strings.Repeat("x", NameBytesMax+1)} {
		_, err := Create(name, Config{DeviceCount: 1}, &SetOptions{Directory: directory})
		wantCode(t, err, ErrInvalid)
	}
	_, err = Create("bad", Config{DeviceCount: 1}, &SetOptions{Directory: "a\x00b"})
	wantCode(t, err, ErrInvalid)
	_, err = OpenInSecondary("nobody", &JoinOptions{Directory: directory, BuffersMax: -1})
	wantCode(t, err, ErrInvalid)
	first, err := Create("taken", Config{DeviceCount: 1}, &SetOptions{Directory: directory})
	must(t, err)
	_, err = Create("taken", Config{DeviceCount: 1}, &SetOptions{Directory: directory})
	wantCode(t, err, ErrProtocol)
	_, err = first.AbortReason()
	wantCode(t, err, ErrProtocol)
	_, err = first.OpenDevice("taken")
	wantCode(t, err, ErrProtocol)
	must(t, first.Close())
}

func TestServerCalls(t *testing.T) {
	r := created(t, plan{devices: 2})
	server, err := OpenServer(r.name, &JoinOptions{Directory: r.directory, BuffersMax: 8})
	must(t, err)
	defer server.Close()
	_, err = server.TryNextCompletion()
	wantCode(t, err, ErrProtocol)
	_, err = server.NextCompletion(soon(t))
	wantCode(t, err, ErrProtocol)
	wish, err := server.GetConfiguration()
	must(t, err)
	if wish.DeviceCount != 2 {
		t.Errorf("%+v", wish)
	}
	wantCode(t, server.BeginConfiguration(BaseConfiguration{BlockBytes: -1}), ErrInvalid)
	must(t, server.BeginConfiguration(BaseConfiguration{WriteMedia, 512, 0, 65536}))
	wantCode(t, server.RequestBuffers(-1, 0, 1), ErrInvalid)
	must(t, server.RequestBuffers(bufferSize, 0, 3))
	must(t, server.EndConfiguration())
	agreed, err := r.set.GetConfiguration(soon(t))
	must(t, err)
	if agreed.BlockBytes != 512 || agreed.MaxTransferBytes != 65536 || agreed.MaxIODepth != 4 ||
		agreed.BufferAreaBytes == 0 || agreed.Features != WriteMedia {
		t.Errorf("%+v", agreed)
	}
	free, err := server.QueryAvailableBuffers(bufferSize, 0)
	must(t, err)
	if free != 3 {
		t.Errorf("%d buffers are free", free)
	}
	_, err = server.QueryAvailableBuffers(0, -1)
	wantCode(t, err, ErrInvalid)
	buffer, err := server.AllocateBuffer(1000, 0)
	must(t, err)
	if buffer.Size() != 1000 || len(buffer.Bytes()) != 1000 {
		t.Errorf("%d bytes", len(buffer.Bytes()))
	}
	_, err = server.AllocateBuffer(-1, 0)
	wantCode(t, err, ErrInvalid)
	_, err = server.AllocateBuffer(1<<20, 0)
	wantCode(t, err, ErrInvalid)
	device, err := server.OpenDevice(r.name)
	must(t, err)
	wantCode(t, device.SendCommand(&ServerCommand{Code: CommandWrite, Size: 1 << 40}), ErrInvalid)
	wantCode(t, device.SendCommand(&ServerCommand{Code: CommandWrite, Size: 513, Buffer: buffer}),
		ErrInvalid)
	if buffer.Bytes() == nil {
		t.Error("a refused command kept its buffer")
	}
	must(t, buffer.Free())
	wantCode(t, device.SendCommand(&ServerCommand{Code: CommandWrite, Size: 512, Buffer: buffer}),
		ErrInvalid)
	other := newRig(t, plan{devices: 1})
	wantCode(t, device.SendCommand(other.command(CommandWrite)), ErrInvalid)
	other.finish()
	must(t, device.SendCommand(&ServerCommand{Code: CommandFlush}))
	n, err := device.Outstanding()
	must(t, err)
	if n != 1 {
		t.Errorf("%d outstanding", n)
	}
	wantCode(t, server.Close(), ErrProtocol) // Devices were open.
}

func TestLog(t *testing.T) {
	var mu sync.Mutex
	var lines []LogLine
	wantCode(t, SetLog(LogInfo, nil), ErrInvalid)
	wantCode(t, SetLog(99, func(LogLine) {}), ErrInvalid)
	must(t, SetLog(LogInfo, func(line LogLine) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, line)
	}))
	r := newRig(t, plan{devices: 1})
	must(t, r.set.SignalAbort(1, "for the log"))
	_, err := r.server.NextCompletion(soon(t))
	wantCode(t, err, ErrAbort)
	must(t, r.set.Close())
	r.server.Close()
	must(t, SetLog(LogOff, nil))
	count := len(lines) // Nobody writes to them any more.
	named, worst := 0, LogDebug
	for _, line := range lines {
		if strings.Contains(line.Text, r.name) {
			named++
		}
		if line.Level < worst {
			worst = line.Level
		}
		if line.Lost != 0 || line.Level == LogOff || line.Level > LogInfo {
			t.Errorf("%+v", line)
		}
	}
	if named < 2 || worst != LogError {
		t.Errorf("%d lines of %d are about the set, the worst is %d", named, count, worst)
	}
	newRig(t, plan{devices: 1}).finish()
	noneLeft(t)
	if len(lines) != count {
		t.Error("the log goes on")
	}

	// Who is too slow is told how much is lost. Nobody waits for it.
	hold := make(chan struct{})
	lines = nil
	must(t, SetLog(LogDebug, func(line LogLine) {
		<-hold
		lines = append(lines, line)
	}))
	for i := 0; i < 1200; i++ {
		set, err := Create("log", Config{DeviceCount: 1}, &SetOptions{Directory: r.directory})
		must(t, err)
		server, err := OpenServer("log", &JoinOptions{Directory: r.directory})
		must(t, err)
		server.Close()
		must(t, set.Close())
	}
	close(hold)
	newRig(t, plan{devices: 1}).finish()
	must(t, SetLog(LogOff, nil))
	lost := 0
	for _, line := range lines {
		lost += line.Lost
	}
	t.Logf("%d lines, %d lost", len(lines), lost)
	if len(lines) == 0 || lost == 0 {
		t.Error("nothing was lost, or everything")
	}
}

func allocatorChild() int {
	if err := SetAllocator(nil); err != nil {
		println(err.Error())
		return 1
	}
	os.Stdout.WriteString("ready\n")
	return 0
}

func TestLibrary(t *testing.T) {
	if Version() != VersionMajor<<16|VersionMinor<<8|VersionPatch {
		t.Errorf("the library is version %#x", Version())
	}
	if !Supports(SupportDescriptors) || !Supports(SupportLog) || Supports(999) {
		t.Error("Supports")
	}
	must(t, child(t, "allocator").Wait())
	r := newRig(t, plan{devices: 1})
	wantCode(t, SetAllocator(nil), ErrProtocol)
	r.finish()
}
