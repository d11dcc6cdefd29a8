package vdset

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"
)

// asleep waits until the goroutine of a wait rests in Go's poller.
func asleep(t testing.TB, w *waiter) {
	t.Helper()
	eventually(t, "a goroutine waits", func() bool {
		w.opening.Lock()
		defer w.opening.Unlock()
		return w.file != nil
	})
	time.Sleep(5 * time.Millisecond)
}

func TestContextsEndWaits(t *testing.T) {
	r := created(t, plan{devices: 1})
	check := func(what string, w *waiter, call func(context.Context) error) {
		t.Helper()
		for i := 0; i < 3; i++ { // Again: what one context left behind ends no later wait.
			ctx, cancel := context.WithCancel(background)
			end := make(chan error, 1)
			go func() { end <- call(ctx) }()
			asleep(t, w)
			select {
			case err := <-end:
				t.Fatalf("%s did not wait: %v", what, err)
			default:
			}
			cancel()
			if err := <-end; !errors.Is(err, context.Canceled) {
				t.Fatalf("%s, cancelled: %v", what, err)
			}
			ctx, cancel = context.WithTimeout(background, 2*time.Millisecond)
			err := call(ctx)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("%s, too late: %v", what, err)
			}
			if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("%s, over before: %v", what, err)
			}
		}
	}
	getConfiguration := func(ctx context.Context) error {
		_, err := r.set.GetConfiguration(ctx)
		return err
	}
	check("GetConfiguration", &r.set.waits, getConfiguration)
	// Many wait for it at once, one of them asleep; who comes late may be the one to hear of it.
	end := make(chan error, 8)
	for i := 0; i < cap(end); i++ {
		go func() { end <- getConfiguration(soon(t)) }()
	}
	asleep(t, &r.set.waits)
	r.configure(plan{devices: 1})
	for i := 0; i < cap(end); i++ {
		must(t, <-end)
	}

	engine, err := r.server.OpenDevice(r.name)
	must(t, err)
	device, err := r.set.OpenDevice(r.name)
	must(t, err)
	r.engines, r.devices = []*ServerDevice{engine}, []*Device{device}
	check("GetCommand", &device.waits, func(ctx context.Context) error {
		_, err := device.GetCommand(ctx)
		return err
	})
	check("NextCompletion", &r.server.waits, func(ctx context.Context) error {
		_, err := r.server.NextCompletion(ctx)
		return err
	})
	check("WaitForAbort", &r.set.waits, func(ctx context.Context) error {
		_, err := r.set.WaitForAbort(ctx)
		return err
	})
	noneLeft(t)

	// Everything still works, and sleeps.
	sent := r.command(CommandWrite)
	fetched := make(chan Command, 1)
	go func() {
		command, err := device.GetCommand(soon(t))
		if err != nil {
			t.Error(err)
		}
		fetched <- command
	}()
	asleep(t, &device.waits)
	must(t, engine.SendCommand(sent))
	command := <-fetched
	go func() {
		time.Sleep(5 * time.Millisecond)
		if err := command.Complete(Success, bufferSize); err != nil {
			t.Error(err)
		}
	}()
	_, err = r.server.NextCompletion(soon(t))
	must(t, err)
	r.finish()
}

// Many goroutines wait for the configuration and one is told, at every moment of the others' waits.
func TestManyHearOfTheConfiguration(t *testing.T) {
	for i := 0; i < 30; i++ {
		r := created(t, plan{devices: 1})
		end := make(chan error, 4)
		for k := 0; k < cap(end); k++ {
			go func() {
				_, err := r.set.GetConfiguration(soon(t))
				end <- err
			}()
		}
		r.configure(plan{devices: 1})
		for k := 0; k < cap(end); k++ {
			must(t, <-end)
		}
		must(t, r.set.Close())
		r.server.Close()
	}
}

func TestCloseEndsWaits(t *testing.T) {
	for _, closes := range []string{"set", "server"} {
		r := newRig(t, plan{devices: 3})
		var group sync.WaitGroup
		wait := func(call func() error) {
			group.Add(1)
			go func() {
				defer group.Done()
				wantCodeOf(t, call(), ErrNotOpen)
			}()
		}
		if closes == "set" {
			for _, device := range r.devices {
				device := device
				wait(func() error { _, err := device.GetCommand(background); return err })
			}
			for i := 0; i < 2; i++ { // One waits, one waits for its turn.
				wait(func() error { _, err := r.set.WaitForAbort(background); return err })
			}
			asleep(t, &r.devices[0].waits)
			asleep(t, &r.set.waits)
			wantCode(t, r.set.Close(), ErrOpen)
			group.Wait()
			r.server.Close()
		} else {
			wait(func() error { return r.server.RunCompletionAgent(background) })
			asleep(t, &r.server.waits)
			_, err := r.server.TryNextCompletion()
			wantCode(t, err, ErrBusy)
			wantCode(t, r.server.Close(), ErrProtocol)
			group.Wait()
			_, err = r.devices[0].GetCommand(soon(t))
			wantCode(t, err, ErrAbort)
			must(t, r.set.Close())
		}
		noneLeft(t)
	}
}

// wantCodeOf is wantCode for goroutines, which must not end the test.
func wantCodeOf(t testing.TB, err error, code Code) {
	if !errors.Is(err, code) {
		t.Errorf("got %v, want %s", err, code.Name())
	}
}

func TestAbortLeavesNoGoroutine(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, who := range []string{"primary", "server", "secondary"} {
		const devices = 16
		r := newRig(t, plan{devices: devices})
		helper, err := OpenInSecondary(r.name, &JoinOptions{Directory: r.directory})
		must(t, err)
		outstanding := r.command(CommandWrite)
		outstanding.Done = func(done *ServerCommand) {
			if done.CompletionCode != OperationAborted {
				t.Errorf("completed with %d", done.CompletionCode)
			}
		}
		must(t, r.engines[0].SendCommand(outstanding))
		held, err := r.devices[0].GetCommand(soon(t))
		must(t, err)
		// A context that could be cancelled makes a wait watch it.
		ctx, cancel := context.WithCancel(background)
		var group sync.WaitGroup
		wait := func(call func() error) {
			group.Add(1)
			go func() {
				defer group.Done()
				wantCodeOf(t, call(), ErrAbort)
			}()
		}
		for _, device := range r.devices {
			device := device
			wait(func() error { _, err := device.GetCommand(ctx); return err })
		}
		wait(func() error { return r.server.RunCompletionAgent(ctx) })
		reasons := make(chan AbortReason, 1)
		go func() {
			reason, err := r.set.WaitForAbort(ctx)
			if err != nil {
				t.Error(err)
			}
			reasons <- reason
		}()
		for _, device := range r.devices {
			asleep(t, &device.waits)
		}
		asleep(t, &r.server.waits)
		role := RolePrimary
		switch who {
		case "primary":
			must(t, r.set.SignalAbort(112, "the disk is full"))
		case "server":
			role = RoleServer
			must(t, r.server.SignalAbort(112, "the disk is full"))
		case "secondary":
			role = RoleSecondary
			must(t, helper.SignalAbort(112, "the disk is full"))
		}
		group.Wait()
		reason := <-reasons
		same, err := r.server.AbortReason()
		must(t, err)
		if reason != same || reason.Role != role || reason.Call != AbortSignalled ||
			reason.Code != 112 || reason.Text != "the disk is full" {
			t.Errorf("%s aborted: %+v, %+v", who, reason, same)
		}
		// All are gone before anything is closed, and though the context lives.
		noneLeft(t)
		wantCode(t, held.Complete(Success, 0), ErrAbort)
		must(t, helper.Close())
		must(t, r.set.Close())
		r.server.Close()
		cancel()
	}
	eventually(t, "as many goroutines as before", func() bool {
		return runtime.NumGoroutine() <= before
	})
}

func TestInterrupt(t *testing.T) {
	r := newRig(t, plan{devices: 1})
	end := make(chan error, 1)
	go func() {
		_, err := r.devices[0].GetCommand(background)
		end <- err
	}()
	asleep(t, &r.devices[0].waits)
	_, err := r.devices[0].TryGetCommand()
	wantCode(t, err, ErrBusy)
	must(t, r.devices[0].Interrupt())
	wantCode(t, <-end, ErrInterrupted)
	must(t, r.devices[0].Interrupt()) // Nobody waits: it is for the next.
	_, err = r.devices[0].GetCommand(soon(t))
	wantCode(t, err, ErrInterrupted)
	_, err = r.devices[0].TryGetCommand()
	wantCode(t, err, ErrTimeout)
	r.finish()
}

// Waits hold no thread each: 64 goroutines wait for 64 devices.
func TestWaitsHoldNoThreads(t *testing.T) {
	const rounds = 5
	r := newRig(t, plan{devices: DevicesMax})
	ctx := soon(t)
	var group sync.WaitGroup
	var got [DevicesMax]int
	for i, device := range r.devices {
		group.Add(1)
		go func(i int, device *Device) {
			defer group.Done()
			err := device.ForEach(ctx, func(command Command) error {
				got[i]++
				return command.Complete(Success, command.Size())
			})
			if err != nil {
				t.Errorf("device %d: %v", i, err)
			}
		}(i, device)
	}
	var commands [DevicesMax]*ServerCommand
	for i := range commands {
		commands[i] = r.command(CommandWrite)
	}
	most := 0
	for k := 0; k < rounds; k++ {
		for _, device := range r.devices {
			asleep(t, &device.waits)
		}
		if n := threads(t); n > most {
			most = n
		}
		for i, engine := range r.engines {
			must(t, engine.SendCommand(commands[i]))
		}
		for range commands {
			_, err := r.server.NextCompletion(ctx)
			must(t, err)
		}
	}
	for _, engine := range r.engines {
		must(t, engine.Close())
	}
	group.Wait()
	for i, count := range got {
		if count != rounds {
			t.Errorf("device %d got %d commands", i, count)
		}
	}
	t.Logf("%d threads while %d goroutines wait", most, DevicesMax)
	// The library has three here (its own, and a bridge for each side); Go keeps those that it once
	// needed, on a busy machine some for calls that took long. A thread for each wait is 64 at least.
	if most >= DevicesMax {
		t.Errorf("%d threads, the limit is %d", most, DevicesMax-1)
	}
	r.engines = nil
	r.finish()
}

func TestServerTimeout(t *testing.T) {
	r := newRig(t, plan{devices: 1, config: Config{ServerTimeout: 20 * time.Millisecond}})
	config, err := r.server.GetConfiguration()
	must(t, err)
	if config.ServerTimeout != 20*time.Millisecond {
		t.Errorf("timeout %v", config.ServerTimeout)
	}
	must(t, r.engines[0].SendCommand(r.command(CommandWrite)))
	done, err := r.server.NextCompletion(soon(t))
	must(t, err)
	if done.CompletionCode != OperationAborted {
		t.Errorf("completed with %d", done.CompletionCode)
	}
	_, err = r.server.NextCompletion(soon(t))
	wantCode(t, err, ErrAbort)
	reason, err := r.set.WaitForAbort(soon(t))
	must(t, err)
	if reason.Call != AbortServerTimeout || reason.Role != RoleServer {
		t.Errorf("%+v", reason)
	}
}
