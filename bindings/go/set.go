package vdset

// #include "glue.h"
import "C"

import (
	"context"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Set is a virtual device set as its primary client or a secondary sees it.
type Set struct {
	c       *C.vdset_set
	gate    gate
	closing atomic.Bool

	waits waiter
	turn  chan struct{} // Who uses waits. One place.
	ended chan struct{} // Closed by Close.

	mu      sync.Mutex // Guards the rest.
	devices []*Device
}

// Create makes a set under name, which is also the first device's name, as its primary client. A
// server can now open it; no memory is shared yet. options may be nil.
func Create(name string, config Config, options *SetOptions) (*Set, error) {
	var memory cMemory
	defer memory.free()
	cName, err := memory.text("name", name)
	if err != nil {
		return nil, err
	}
	cConfig, err := config.toC()
	if err != nil {
		return nil, err
	}
	cOptions, err := memory.setOptions(options)
	if err != nil {
		return nil, err
	}
	var c *C.vdset_set
	err = call(func() C.int32_t { return C.vdset_set_create(cName, &cConfig, cOptions, &c) })
	return newSet(c, err)
}

// OpenInSecondary joins a set of another process as a helper, once its server has configured it.
// It blocks at most 10 s, for the server's answer. options may be nil.
func OpenInSecondary(name string, options *JoinOptions) (*Set, error) {
	var c *C.vdset_set
	err := join(name, options, func(name *C.char, options *C.struct_vdset_join_options) C.int32_t {
		return C.vdset_set_open_in_secondary(name, options, &c)
	})
	return newSet(c, err)
}

func newSet(c *C.vdset_set, err error) (*Set, error) {
	if err != nil {
		return nil, err
	}
	s := &Set{c: c, turn: make(chan struct{}, 1), ended: make(chan struct{})}
	s.waits.of(func(out *C.int) C.int32_t { return C.vdset_set_get_descriptor(c, out) },
		func() C.int32_t { return C.vdset_set_arm(c) })
	return s, nil
}

// GetConfiguration waits until the server has configured the set. Afterwards it returns at once.
func (s *Set) GetConfiguration(ctx context.Context) (Config, error) {
	if err := s.gate.enter(); err != nil {
		return Config{}, err
	}
	defer s.gate.leave()
	config, err := s.configuration()
	if err != ErrTimeout {
		return config, err
	}
	waitErr := s.wait(ctx, func() bool {
		config, err = s.configuration()
		return err != ErrTimeout
	})
	if waitErr != nil {
		return Config{}, waitErr
	}
	return config, err
}

// configuration asks without waiting.
func (s *Set) configuration() (Config, error) {
	var out C.struct_vdset_config
	out.struct_bytes = C.uint32_t(unsafe.Sizeof(out))
	var code C.int32_t
	err := call(func() C.int32_t {
		code = C.vdset_set_get_configuration(s.c, 0, &out)
		return code
	})
	if Code(code) == ErrTimeout {
		return Config{}, ErrTimeout
	}
	return configFromC(&out), err
}

// WaitForAbort waits until the set is aborted, and says why. A set that ends normally is waited for
// until the context is done or the set is closed.
func (s *Set) WaitForAbort(ctx context.Context) (AbortReason, error) {
	// Until this process knows of the configuration the descriptor tells of that.
	if _, err := s.GetConfiguration(ctx); err != nil && !isCode(err, ErrAbort) {
		return AbortReason{}, err
	}
	if err := s.gate.enter(); err != nil {
		return AbortReason{}, err
	}
	defer s.gate.leave()
	reason, err := s.abortReason()
	if !isCode(err, ErrProtocol) {
		return reason, err
	}
	waitErr := s.wait(ctx, func() bool {
		reason, err = s.abortReason()
		return !isCode(err, ErrProtocol)
	})
	if waitErr != nil {
		return AbortReason{}, waitErr
	}
	return reason, err
}

// wait takes its turn with the set's one descriptor.
func (s *Set) wait(ctx context.Context, look func() bool) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ended:
		return errorf(ErrNotOpen, "the set was closed meanwhile")
	}
	if look() {
		return nil
	}
	return s.waits.wait(ctx, look)
}

// OpenDevice opens the device that the server named; the first has the set's name. While the server
// has not named all devices it blocks for the name to come, at most 10 s. The device ends with the
// set. ErrOpen: all devices are open.
func (s *Set) OpenDevice(name string) (*Device, error) {
	var memory cMemory
	defer memory.free()
	cName, err := memory.text("name", name)
	if err != nil {
		return nil, err
	}
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	var c *C.vdset_device
	err = call(func() C.int32_t { return C.vdset_set_open_device(s.c, cName, &c) })
	if err != nil {
		return nil, err
	}
	config, err := s.configuration()
	if err != nil {
		return nil, err
	}
	device := newDevice(s, c, name, config.PrefixZoneBytes)
	s.mu.Lock()
	s.devices = append(s.devices, device)
	s.mu.Unlock()
	return device, nil
}

// GetBufferHandle returns the handle of a buffer, given the slice of a command. It is good in every
// process of this set, for as long as SetOptions.HandleLifetime says.
func (s *Set) GetBufferHandle(buffer []byte) (Handle, error) {
	if len(buffer) == 0 {
		return 0, ErrInvalid
	}
	if err := s.gate.enter(); err != nil {
		return 0, err
	}
	defer s.gate.leave()
	out := C.go_set_get_handle(at(unsafe.Pointer(s.c)), at(unsafe.Pointer(&buffer[0])))
	return handleOf(out)
}

// MapBufferHandle returns the whole buffer in this process, which may be more than the command with
// it speaks of. The process that fetched the command must complete it, after the helpers are done.
// ErrInvalid: stale, freed, forged, or of another set; ExplainHandle tells which.
func (s *Set) MapBufferHandle(handle Handle) ([]byte, error) {
	if err := s.gate.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	out := C.go_set_map_handle(at(unsafe.Pointer(s.c)), C.uint32_t(handle))
	return bytesOf(out)
}

// DescribeBuffer tells which buffer the slice of a command, or of MapBufferHandle, begins at.
func (s *Set) DescribeBuffer(buffer []byte) (BufferInfo, error) {
	if len(buffer) == 0 {
		return BufferInfo{}, ErrInvalid
	}
	if err := s.gate.enter(); err != nil {
		return BufferInfo{}, err
	}
	defer s.gate.leave()
	var out C.struct_vdset_buffer
	out.struct_bytes = C.uint32_t(unsafe.Sizeof(out))
	code := C.vdset_set_describe_buffer(s.c, unsafe.Pointer(&buffer[0]), &out)
	return infoOf(code, &out)
}

// ExplainHandle says in words why a handle resolves or does not.
func (s *Set) ExplainHandle(handle Handle) (string, error) {
	if err := s.gate.enter(); err != nil {
		return "", err
	}
	defer s.gate.leave()
	var text [256]C.char
	code := C.vdset_set_explain_handle(s.c, C.uint32_t(handle), &text[0], C.uint32_t(len(text)))
	if code != C.VDSET_OK {
		return C.GoString(&text[0]), Code(code)
	}
	return C.GoString(&text[0]), nil
}

// SignalAbort ends the set for everyone at once. Code and text travel to all sides. Then stop
// touching buffers and close.
func (s *Set) SignalAbort(code int32, text string) error {
	var memory cMemory
	defer memory.free()
	cText, err := memory.optional("text", text)
	if err != nil {
		return err
	}
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	return call(func() C.int32_t { return C.vdset_set_signal_abort(s.c, C.int32_t(code), cText) })
}

// AbortReason tells who aborted and why. ErrProtocol: the set is not aborted.
func (s *Set) AbortReason() (AbortReason, error) {
	if err := s.gate.enter(); err != nil {
		return AbortReason{}, err
	}
	defer s.gate.leave()
	return s.abortReason()
}

func (s *Set) abortReason() (AbortReason, error) {
	var out C.struct_vdset_abort_reason
	out.struct_bytes = C.uint32_t(unsafe.Sizeof(out))
	err := call(func() C.int32_t { return C.vdset_set_get_abort_reason(s.c, &out) })
	return reasonFromC(&out), err
}

// Loss tells which secondary client was lost, by number; 0 is the latest. For the primary.
// ErrProtocol: none so far. ErrInvalid: no such number, or forgotten.
func (s *Set) Loss(number uint32) (Loss, error) {
	if err := s.gate.enter(); err != nil {
		return Loss{}, err
	}
	defer s.gate.leave()
	var out C.struct_vdset_loss
	out.struct_bytes = C.uint32_t(unsafe.Sizeof(out))
	err := call(func() C.int32_t { return C.vdset_set_get_loss(s.c, C.uint32_t(number), &out) })
	return lossFromC(&out), err
}

// Close frees everything, always: devices and slices of buffers end, and every wait, with
// ErrNotOpen. A primary's name is free when it returns. ErrOpen (still closed): a device had not
// told ErrClose and the set was not aborted. A call of OpenDevice under way is waited for.
func (s *Set) Close() error {
	if !s.closing.CompareAndSwap(false, true) {
		return errorf(ErrNotOpen, "the set is closed")
	}
	close(s.ended)
	s.waits.end()
	s.endDevices()
	s.gate.close()
	s.endDevices() // Those that were opened meanwhile.
	for _, device := range s.devices {
		device.gate.close()
	}
	err := call(func() C.int32_t { return C.vdset_set_close(s.c) })
	s.waits.close()
	for _, device := range s.devices {
		device.waits.close()
	}
	return err
}

func (s *Set) endDevices() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, device := range s.devices {
		device.waits.end()
	}
}
