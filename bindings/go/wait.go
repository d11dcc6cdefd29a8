package vdset

// #include "glue.h"
import "C"

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// polling is the context of a call that does not wait.
type polling struct{ context.Context }

func (polling) Done() <-chan struct{} { return nil }

// ended is ctx.Err() without a lock while it is nil.
func ended(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	default:
		return nil
	}
}

// waiter waits for one pollable descriptor of the library in Go's poller. One goroutine at a time.
type waiter struct {
	get func(out *C.int) C.int32_t // Makes the library's descriptor, at the first wait.
	arm func() C.int32_t

	opening sync.Mutex // Guards file until it is there, and ended.
	file    *os.File   // A duplicate: Go closes what it polls.
	raw     syscall.RawConn
	ended   atomic.Bool

	look  func() bool // The call that is waited with: has it something to say?
	err   error       // Of arm.
	again func(descriptor uintptr) bool
}

// of makes it wait for an object, by the two calls for its descriptor.
func (w *waiter) of(get func(out *C.int) C.int32_t, arm func() C.int32_t) {
	w.get, w.arm = get, arm
}

// Before it arms, a wait looks this often whether a goroutine nearby has brought it something.
const looksBeforeSleep = 3

// wait returns nil when look has said true. Otherwise the error of the context that is done, of an
// object that is being closed, or of the library.
func (w *waiter) wait(ctx context.Context, look func() bool) error {
	if err := ended(ctx); err != nil {
		return err
	}
	for i := 0; i < looksBeforeSleep; i++ {
		runtime.Gosched()
		if look() {
			return nil
		}
	}
	if err := w.open(); err != nil {
		return err
	}
	w.look, w.err = look, nil
	for {
		err := w.sleep(ctx)
		if err == nil {
			return w.err
		}
		// Woken by a deadline: of a context, this or an earlier wait's, or by end. What
		// they did is undone here; they had set what is asked for next before.
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return errorf(ErrUnexpected, err.Error())
		}
		w.file.SetReadDeadline(time.Time{})
		if w.ended.Load() {
			return errorf(ErrNotOpen, "the object was closed meanwhile")
		}
		if err := ended(ctx); err != nil {
			return err
		}
	}
}

// sleep lets the goroutine rest until step says true or the file has a deadline that is past.
func (w *waiter) sleep(ctx context.Context) error {
	if ctx.Done() != nil {
		stop := afterDone(ctx, w.wake)
		defer stop()
	}
	return w.raw.Read(w.again)
}

// step is called by Go's poller before it waits for an edge, and after each. Arm clears the
// descriptor after the poller has begun to take note of edges, so that none is lost.
func (w *waiter) step(uintptr) bool {
	if w.look() {
		return true
	}
	w.err = call(w.arm)
	return w.err != nil
}

func (w *waiter) wake() { w.file.SetReadDeadline(time.Unix(1, 0)) }

// open gives the descriptor to Go's poller.
func (w *waiter) open() error {
	w.opening.Lock()
	defer w.opening.Unlock()
	if w.ended.Load() {
		return errorf(ErrNotOpen, "the object was closed meanwhile")
	}
	if w.file != nil {
		return nil
	}
	var descriptor C.int
	if err := call(func() C.int32_t { return w.get(&descriptor) }); err != nil {
		return err
	}
	own, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(descriptor),
		syscall.F_DUPFD_CLOEXEC, 0)
	if errno != 0 {
		return errorf(ErrUnexpected, "cannot duplicate a pollable descriptor: "+errno.Error())
	}
	file := os.NewFile(own, "vdset") // It is non-blocking, hence polled.
	raw, err := file.SyscallConn()
	if err == nil {
		err = file.SetReadDeadline(time.Time{}) // Fails where it is not polled.
	}
	if err != nil {
		file.Close()
		return errorf(ErrUnexpected, "cannot poll a descriptor: "+err.Error())
	}
	w.file, w.raw, w.again = file, raw, w.step
	return nil
}

// end wakes who waits, for good.
func (w *waiter) end() {
	w.opening.Lock()
	defer w.opening.Unlock()
	w.ended.Store(true)
	if w.file != nil {
		w.wake()
	}
}

// close gives the duplicate back. Nobody waits any more.
func (w *waiter) close() {
	if w.file != nil {
		w.file.Close()
	}
}
