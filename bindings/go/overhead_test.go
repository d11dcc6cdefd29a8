//go:build !race

package vdset

import (
	"runtime"
	"syscall"
	"testing"
	"time"
	"vdset/internal/cloop"
)

// pair is the same round trip in Go and in C.
type pair struct {
	name   string
	trips  int
	calls  int // Of C, in each: what Go pays at least.
	here   func(n int) bool
	ground func(n int) bool
	bare   func(n int) bool // Calls of C that do nothing.
}

// pairs over two sets, each with all its roles in one goroutine.
func pairs(t testing.TB) []pair {
	r := newRig(t, plan{devices: 1})
	c, err := cloop.New(r.name+"c", r.directory)
	must(t, err)
	t.Cleanup(c.Close)
	return []pair{{"command round trip, one thread", 100000, 4, r.roundTrips, c.Commands, c.Crossings},
		{"handle round trip", 400000, 2, r.handleTrips, c.Handles, c.Crossings}}
}

func (r *rig) send() bool {
	if r.reused == nil {
		r.reused = r.command(CommandWrite)
	}
	return r.engines[0].SendCommand(r.reused) == nil
}

func (r *rig) roundTrips(n int) bool {
	for i := 0; i < n; i++ {
		if !r.send() {
			return false
		}
		command, err := r.devices[0].GetCommand(background)
		if err != nil || command.Complete(Success, command.Size()) != nil {
			return false
		}
		if _, err := r.server.NextCompletion(background); err != nil {
			return false
		}
	}
	return true
}

func (r *rig) handleTrips(n int) bool {
	if !r.send() {
		return false
	}
	command, err := r.devices[0].GetCommand(background)
	buffer := command.Buffer()
	for i := 0; i < n && err == nil; i++ {
		var handle Handle
		if handle, err = r.set.GetBufferHandle(buffer); err == nil {
			_, err = r.set.MapBufferHandle(handle)
		}
	}
	if err != nil || command.Complete(Success, command.Size()) != nil {
		return false
	}
	_, err = r.server.NextCompletion(background)
	return err == nil
}

func BenchmarkOverhead(b *testing.B) {
	for _, pair := range pairs(b) {
		b.Run(pair.name+"/go", func(b *testing.B) {
			b.ReportAllocs()
			if !pair.here(b.N) {
				b.Fatal("failed")
			}
		})
		b.Run(pair.name+"/c", func(b *testing.B) {
			if !pair.ground(b.N) {
				b.Fatal("failed")
			}
		})
	}
}

// cpu is the time that this thread has worked, so that other programs are not measured.
func cpu(t testing.TB) time.Duration {
	var use syscall.Rusage
	must(t, syscall.Getrusage(syscall.RUSAGE_THREAD, &use))
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// All in turn, for long enough that a coarse clock sees it; the ratios are shown and not judged.
func TestOverhead(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, pair := range pairs(t) {
		const turns = 10
		var here, ground, bare time.Duration
		spent := func(f func(int) bool, trips int) time.Duration {
			begun := cpu(t)
			if !f(trips) {
				t.Fatal(pair.name + " failed")
			}
			return cpu(t) - begun
		}
		for i := 0; i < turns; i++ {
			here += spent(pair.here, pair.trips)
			ground += spent(pair.ground, pair.trips)
			bare += spent(pair.bare, pair.trips*pair.calls)
		}
		each := func(of time.Duration) float64 { return float64(of) / turns / float64(pair.trips) }
		t.Logf("%s: Go %.1f ns, C %.1f ns, %.2f x C; with %d empty calls of C %.1f ns, "+
			"%.2f x", pair.name, each(here), each(ground), float64(here)/float64(ground),
			pair.calls, each(ground+bare), float64(here)/float64(ground+bare))
	}
}

// The way of a command allocates nothing in Go.
func TestNoGarbage(t *testing.T) {
	for _, pair := range pairs(t) {
		if !pair.here(100) {
			t.Fatal("failed")
		}
		for n := 1; n <= 101; n += 100 {
			n := n
			if count := testing.AllocsPerRun(20, func() { pair.here(n) }); count != 0 {
				t.Errorf("%s, %d at once: %v allocations", pair.name, n, count)
			}
		}
	}
}
