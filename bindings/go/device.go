package vdset

// #include "glue.h"
import "C"

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync/atomic"
	"unsafe"
)

// Device is one device of a Set, and ends with it.
type Device struct {
	c      *C.vdset_device
	set    *Set
	name   string
	prefix int
	gate   gate
	waits  waiter

	busy  atomic.Bool // A goroutine is in GetCommand; it alone uses the rest.
	lives map[*C.struct_vdset_command]*atomic.Uint64
	next  Command
	err   error
	look  func() bool
}

func newDevice(s *Set, c *C.vdset_device, name string, prefix int) *Device {
	d := &Device{c: c, set: s, name: name, prefix: prefix,
		lives: map[*C.struct_vdset_command]*atomic.Uint64{}}
	d.waits.of(func(out *C.int) C.int32_t { return C.vdset_device_get_descriptor(c, out) },
		func() C.int32_t { return C.vdset_device_arm(c) })
	d.look = func() bool {
		d.next, d.err = d.fetch()
		return d.err != ErrTimeout
	}
	return d
}

// Name returns the device's name.
func (d *Device) Name() string { return d.name }

// GetCommand waits for the next command, in the order sent. Several may be fetched before one is
// completed. ErrClose: the server closed the device and every command was delivered, the normal
// end; every later call says it again. ErrBusy: another goroutine is in GetCommand.
func (d *Device) GetCommand(ctx context.Context) (Command, error) {
	return d.getCommand(ctx)
}

// TryGetCommand is GetCommand that does not wait: ErrTimeout when there is nothing.
func (d *Device) TryGetCommand() (Command, error) {
	return d.getCommand(polling{})
}

func (d *Device) getCommand(ctx context.Context) (Command, error) {
	if err := d.gate.enter(); err != nil {
		return Command{}, err
	}
	defer d.gate.leave()
	if err := ended(ctx); err != nil {
		return Command{}, err
	}
	if !d.busy.CompareAndSwap(false, true) {
		return Command{}, errorf(ErrBusy, "device "+d.name+": another goroutine is in GetCommand")
	}
	defer d.busy.Store(false)
	command, err := d.fetch()
	if err != ErrTimeout || ctx == (polling{}) {
		return command, err
	}
	if err := d.waits.wait(ctx, d.look); err != nil {
		return Command{}, err
	}
	return d.next, d.err
}

// fetch asks the library without waiting.
func (d *Device) fetch() (Command, error) {
	runtime.LockOSThread()
	out := C.go_get_command(at(unsafe.Pointer(d.c)))
	err := outcome(out.code)
	runtime.UnlockOSThread()
	if err != nil {
		return Command{}, err
	}
	// The library uses the memory of a command again once it is completed, so that each life of it
	// has a number of its own.
	life := d.lives[out.command]
	if life == nil {
		life = new(atomic.Uint64)
		d.lives[out.command] = life
	}
	c := out.command
	return Command{
		device:   d,
		c:        c,
		life:     life,
		turn:     life.Add(1),
		data:     c.buffer,
		position: int64(c.position),
		size:     int32(c.size),
		code:     CommandCode(c.code),
		flags:    uint32(c.flags),
		handle:   Handle(c.buffer_handle),
	}, nil
}

// Interrupt ends one wait in GetCommand with ErrInterrupted: the one under way, or else the next.
func (d *Device) Interrupt() error {
	if err := d.gate.enter(); err != nil {
		return err
	}
	defer d.gate.leave()
	return call(func() C.int32_t { return C.vdset_device_interrupt(d.c) })
}

// Command is a command that was fetched. It is alive until it is completed or the set is closed;
// copies of it are the same command. The zero Command is a dead one.
type Command struct {
	device   *Device
	c        *C.struct_vdset_command
	life     *atomic.Uint64 // Counts up when it is fetched, and when it is completed.
	turn     uint64
	data     unsafe.Pointer
	position int64
	size     int32
	code     CommandCode
	flags    uint32
	handle   Handle
}

// Device is the one it was fetched from.
func (c Command) Device() *Device { return c.device }

// Code says what to do.
func (c Command) Code() CommandCode { return c.code }

// Size is the bytes of a Read or Write, without prefix zone; the count of SkipMarks and SkipBlocks.
func (c Command) Size() int { return int(c.size) }

// Position is for Read and Write on a device with RandomAccess, and for SetPosition.
func (c Command) Position() int64 { return c.position }

// Redelivered says whether a process that died had fetched it before: do it again, or look what
// was done.
func (c Command) Redelivered() bool { return c.flags&redelivered != 0 }

// Handle is the handle of the buffer, 0 without one.
func (c Command) Handle() Handle { return c.handle }

// Alive says whether it is still to be completed.
func (c Command) Alive() bool {
	return c.life != nil && c.life.Load() == c.turn && !c.device.set.closing.Load()
}

// Buffer is the shared memory of a Read, to be filled, or of a Write, to be consumed; Size bytes.
// Nil for other commands, and once the command is completed.
func (c Command) Buffer() []byte {
	if c.data == nil || c.size <= 0 || !c.Alive() {
		return nil
	}
	return unsafe.Slice((*byte)(c.data), int(c.size))
}

// Prefix is the client's own bytes just before the buffer: Config.PrefixZoneBytes of them. Nil as
// Buffer is.
func (c Command) Prefix() []byte {
	if c.data == nil || !c.Alive() {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Add(c.data, -c.device.prefix)), c.device.prefix)
}

// Complete ends the command; any order, any goroutine. A code other than Success brings the device
// into IO-ERROR. Bytes are those of a Read or Write, 0..Size; ignored for others. ErrInvalid: it
// was completed already. It is dead afterwards, whatever the result.
func (c Command) Complete(code CompletionCode, bytes int) error {
	return c.complete(code, bytes, 0)
}

// CompleteAt ends a GetPosition or SetPosition.
func (c Command) CompleteAt(code CompletionCode, position int64) error {
	return c.complete(code, 0, position)
}

func (c Command) complete(code CompletionCode, bytes int, position int64) error {
	if c.life == nil {
		return errorf(ErrInvalid, "no command")
	}
	if bytes < 0 || uint64(bytes) > math.MaxUint32 {
		return errorf(ErrInvalid, fmt.Sprintf("bytes: %d is not 0..%d", bytes, c.size))
	}
	if err := c.device.gate.enter(); err != nil {
		return err
	}
	defer c.device.gate.leave()
	if !c.life.CompareAndSwap(c.turn, c.turn+1) {
		return errorf(ErrInvalid, "device "+c.device.name+": the command was completed already")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return failure(C.go_complete_command(at(unsafe.Pointer(c.device.c)), at(unsafe.Pointer(c.c)),
		C.int32_t(code), C.uint32_t(bytes), C.int64_t(position)))
}
