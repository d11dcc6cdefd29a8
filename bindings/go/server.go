package vdset

// #include "glue.h"
import "C"

import (
	"context"
	"runtime"
	"sync/atomic"
	"unsafe"
)

// Server is a virtual device set as the database engine sees it.
type Server struct {
	c       *C.vdset_server
	gate    gate
	closing atomic.Bool
	waits   waiter
	sent    sentTable

	busy atomic.Bool // A goroutine is in NextCompletion; it alone uses the rest.
	next *ServerCommand
	err  error
	look func() bool
}

// OpenServer becomes the server of the set that a primary has created. It blocks at most 10 s, for
// the primary's library. options may be nil.
func OpenServer(name string, options *JoinOptions) (*Server, error) {
	var c *C.vdset_server
	err := join(name, options, func(name *C.char, options *C.struct_vdset_join_options) C.int32_t {
		return C.vdset_server_open(name, options, &c)
	})
	if err != nil {
		return nil, err
	}
	s := &Server{c: c}
	s.waits.of(func(out *C.int) C.int32_t { return C.vdset_server_get_descriptor(c, out) },
		func() C.int32_t { return C.vdset_server_arm(c) })
	s.look = func() bool {
		s.next, s.err = s.reap()
		return s.err != ErrTimeout
	}
	return s, nil
}

// inside makes a call of the library if the server is not closed.
func (s *Server) inside(f func() C.int32_t) error {
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	return call(f)
}

// GetConfiguration tells what the client wishes.
func (s *Server) GetConfiguration() (Config, error) {
	var out C.struct_vdset_config
	out.struct_bytes = C.uint32_t(unsafe.Sizeof(out))
	err := s.inside(func() C.int32_t { return C.vdset_server_get_configuration(s.c, &out) })
	return configFromC(&out), err
}

// BeginConfiguration fixes the base of the configuration.
func (s *Server) BeginConfiguration(base BaseConfiguration) error {
	cBase, err := base.toC()
	if err != nil {
		return err
	}
	return s.inside(func() C.int32_t { return C.vdset_server_begin_configuration(s.c, &cBase) })
}

// RequestBuffers asks for count buffers of a size, without prefix zone, and an alignment, 0 for the
// base one. Before EndConfiguration the requests are summed; after it the space is had at once.
func (s *Server) RequestBuffers(size, alignment, count int) error {
	var n narrower
	cSize, cAlignment := n.number("size", size), n.number("alignment", alignment)
	cCount := n.number("count", count)
	if n.err != nil {
		return n.err
	}
	return s.inside(func() C.int32_t {
		return C.vdset_server_request_buffers(s.c, cSize, cAlignment, cCount)
	})
}

// QueryAvailableBuffers tells how many buffers of this kind AllocateBuffer could give now; before
// EndConfiguration, how many could be requested.
func (s *Server) QueryAvailableBuffers(size, alignment int) (int, error) {
	var n narrower
	cSize, cAlignment := n.number("size", size), n.number("alignment", alignment)
	if n.err != nil {
		return 0, n.err
	}
	var out C.uint32_t
	err := s.inside(func() C.int32_t {
		return C.vdset_server_query_available_buffers(s.c, cSize, cAlignment, &out)
	})
	return int(out), err
}

// EndConfiguration makes the buffers and lets the clients go on. ErrMemory: nothing was made, the
// requests are forgotten: ask for less and call again.
func (s *Server) EndConfiguration() error {
	return s.inside(func() C.int32_t { return C.vdset_server_end_configuration(s.c) })
}

// OpenDevice names the next device; the first must have the set's name.
func (s *Server) OpenDevice(name string) (*ServerDevice, error) {
	var memory cMemory
	defer memory.free()
	cName, err := memory.text("name", name)
	if err != nil {
		return nil, err
	}
	var c *C.vdset_server_device
	err = s.inside(func() C.int32_t { return C.vdset_server_open_device(s.c, cName, &c) })
	if err != nil {
		return nil, err
	}
	return &ServerDevice{c, s, name}, nil
}

// AllocateBuffer gives a buffer of the smallest kind that fits; alignment 0 is the base one.
// ErrMemory: none is free now: free one, or wait for a completion.
func (s *Server) AllocateBuffer(size, alignment int) (*Buffer, error) {
	var n narrower
	cSize, cAlignment := n.number("size", size), n.number("alignment", alignment)
	if n.err != nil {
		return nil, n.err
	}
	var out C.struct_go_address
	err := s.inside(func() C.int32_t {
		out = C.go_allocate_buffer(s.c, cSize, cAlignment)
		return out.code
	})
	if err != nil {
		return nil, err
	}
	return &Buffer{server: s, data: out.address, size: size}, nil
}

// IsSharedBuffer says whether the slice begins in a buffer of this set.
func (s *Server) IsSharedBuffer(bytes []byte) bool {
	if len(bytes) == 0 || s.gate.enter() != nil {
		return false
	}
	defer s.gate.leave()
	return C.vdset_server_is_shared_buffer(s.c, unsafe.Pointer(&bytes[0])) == 1
}

// MapBufferHandle is Set.MapBufferHandle in the server's process.
func (s *Server) MapBufferHandle(handle Handle) ([]byte, error) {
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	return bytesOf(C.go_server_map_handle(at(unsafe.Pointer(s.c)), C.uint32_t(handle)))
}

// NextCompletion waits for a command that is final: one that was sent, with its results. ErrClose:
// every device is closed and nothing is left, the normal end. After an abort it hands out what was
// outstanding, with OperationAborted, then says ErrAbort. ErrBusy: another goroutine is in it. The
// command's Done is not called.
func (s *Server) NextCompletion(ctx context.Context) (*ServerCommand, error) {
	if !s.busy.CompareAndSwap(false, true) {
		return nil, errTwoReap
	}
	defer s.busy.Store(false)
	return s.wait(ctx)
}

var errTwoReap = errorf(ErrBusy, "another goroutine waits for completions")

// wait is NextCompletion of the one goroutine that has busy.
func (s *Server) wait(ctx context.Context) (*ServerCommand, error) {
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	if err := ended(ctx); err != nil {
		return nil, err
	}
	command, err := s.reap()
	if err != ErrTimeout || ctx == (polling{}) {
		return command, err
	}
	if err := s.waits.wait(ctx, s.look); err != nil {
		return nil, err
	}
	return s.next, s.err
}

// TryNextCompletion is NextCompletion that does not wait: ErrTimeout when nothing is final.
func (s *Server) TryNextCompletion() (*ServerCommand, error) {
	return s.NextCompletion(polling{})
}

// reap asks the library without waiting.
func (s *Server) reap() (*ServerCommand, error) {
	runtime.LockOSThread()
	out := C.go_next_completion(at(unsafe.Pointer(s.c)))
	err := outcome(out.code)
	runtime.UnlockOSThread()
	if err != nil {
		return nil, err
	}
	return s.sent.take(out.command), nil
}

// RunCompletionAgent calls Done of each command that is final, in this goroutine, until every
// device is closed and nothing is outstanding, which gives nil; until abort, after which the
// outstanding ones have been called too; or until the context is done. ErrBusy: another goroutine
// runs it, or is in NextCompletion; nobody else gets in between two calls of Done.
func (s *Server) RunCompletionAgent(ctx context.Context) error {
	if !s.busy.CompareAndSwap(false, true) {
		return errTwoReap
	}
	defer s.busy.Store(false)
	for {
		command, err := s.wait(ctx)
		if err == ErrClose {
			return nil
		}
		if err != nil {
			return err
		}
		if command.Done != nil {
			command.Done(command)
		}
	}
}

// SignalAbort ends the set for everyone at once, as Set.SignalAbort.
func (s *Server) SignalAbort(code int32, text string) error {
	var memory cMemory
	defer memory.free()
	cText, err := memory.optional("text", text)
	if err != nil {
		return err
	}
	return s.inside(func() C.int32_t {
		return C.vdset_server_signal_abort(s.c, C.int32_t(code), cText)
	})
}

// AbortReason tells who aborted and why. ErrProtocol: the set is not aborted.
func (s *Server) AbortReason() (AbortReason, error) {
	var out C.struct_vdset_abort_reason
	out.struct_bytes = C.uint32_t(unsafe.Sizeof(out))
	err := s.inside(func() C.int32_t { return C.vdset_server_get_abort_reason(s.c, &out) })
	return reasonFromC(&out), err
}

// Loss tells which secondary client was lost, as Set.Loss.
func (s *Server) Loss(number uint32) (Loss, error) {
	var out C.struct_vdset_loss
	out.struct_bytes = C.uint32_t(unsafe.Sizeof(out))
	err := s.inside(func() C.int32_t { return C.vdset_server_get_loss(s.c, C.uint32_t(number), &out) })
	return lossFromC(&out), err
}

// Close frees everything, always. Commands that are outstanding get OperationAborted, and their
// Done is called, here. ErrProtocol (still closed): devices were open; the set is aborted for the
// clients.
func (s *Server) Close() error {
	if !s.closing.CompareAndSwap(false, true) {
		return errorf(ErrNotOpen, "the server is closed")
	}
	s.waits.end()
	s.gate.close()
	err := call(func() C.int32_t { return C.vdset_server_close(s.c) })
	s.waits.close()
	for _, command := range s.sent.abandon() {
		if command.Done != nil {
			command.Done(command)
		}
	}
	return err
}
