// Face is the face of package vdset for the conformance suite: the calls of
// tests/conformance/face_library.h, in a shared library that the suite loads. Where the package has
// no way to make a call (an address that no buffer has, a pointer that is nil) it says cannot.
package main

// #cgo pkg-config: vdset
// #cgo CFLAGS: -I${SRCDIR}/../../../../tests/conformance
// #include <stdlib.h>
// #include "face_library.h"
import "C"

import (
	"context"
	"errors"
	"sync"
	"time"
	"unsafe"

	"vdset"
)

const cannot = C.FACE_CANNOT

func main() {}

func number(err error) C.int32_t {
	var code vdset.Code
	switch {
	case err == nil:
		return C.VDSET_OK
	case errors.Is(err, context.DeadlineExceeded):
		return C.VDSET_E_TIMEOUT
	case errors.As(err, &code):
		return C.int32_t(code)
	}
	return C.VDSET_E_UNEXPECTED
}

// within is the context of a wait; negative: for ever.
func within(ms C.int64_t) (context.Context, context.CancelFunc) {
	if ms < 0 {
		return context.Background(), func() {}
	}
	return context.WithTimeout(context.Background(), time.Duration(ms)*time.Millisecond)
}

func bytesAt(address unsafe.Pointer) []byte { return unsafe.Slice((*byte)(address), 1) }

// tell writes a configuration out; the server's limit is what C has.
func tell(from vdset.Config, out *C.struct_vdset_config) {
	out.device_count = C.uint32_t(from.DeviceCount)
	out.features = C.uint32_t(from.Features)
	out.prefix_zone_bytes = C.uint32_t(from.PrefixZoneBytes)
	out.alignment_bytes = C.uint32_t(from.AlignmentBytes)
	out.soft_file_mark_block_bytes = C.uint32_t(from.SoftFileMarkBlockBytes)
	out.eom_warning_bytes = C.uint32_t(from.EOMWarningBytes)
	out.server_timeout_ms = C.uint32_t(from.ServerTimeout / time.Millisecond)
	out.block_bytes = C.uint32_t(from.BlockBytes)
	out.max_io_depth = C.uint32_t(from.MaxIODepth)
	out.max_transfer_bytes = C.uint32_t(from.MaxTransferBytes)
	out.buffer_area_bytes = C.uint32_t(from.BufferAreaBytes)
}

func wishOf(c *C.struct_vdset_config) vdset.Config {
	return vdset.Config{
		DeviceCount:            int(c.device_count),
		Features:               vdset.Features(c.features),
		PrefixZoneBytes:        int(c.prefix_zone_bytes),
		AlignmentBytes:         int(c.alignment_bytes),
		SoftFileMarkBlockBytes: int(c.soft_file_mark_block_bytes),
		EOMWarningBytes:        int(c.eom_warning_bytes),
		ServerTimeout:          time.Duration(c.server_timeout_ms) * time.Millisecond,
		BlockBytes:             int(c.block_bytes),
		MaxIODepth:             int(c.max_io_depth),
		MaxTransferBytes:       int(c.max_transfer_bytes),
		BufferAreaBytes:        int64(c.buffer_area_bytes),
	}
}

func tellReason(from vdset.AbortReason, out *C.struct_vdset_abort_reason) {
	out.role = C.uint32_t(from.Role)
	out.pid = C.uint32_t(from.Pid)
	out.call = C.uint32_t(from.Call)
	out.code = C.int32_t(from.Code)
	for i := range out.text {
		out.text[i] = 0
		if i < len(from.Text) && i+1 < len(out.text) {
			out.text[i] = C.char(from.Text[i])
		}
	}
}

// The objects, each by the address of a byte in C's memory, which is what C has of it.
var objects sync.Map

func register(object any) unsafe.Pointer {
	key := C.malloc(1)
	objects.Store(key, object)
	return key
}

func unregister(key unsafe.Pointer) {
	objects.Delete(key)
	C.free(key)
}

// ---- Clients ----

type client struct {
	mu       sync.Mutex // Guards the rest.
	set      *vdset.Set // Also when it is closed: then it says so itself.
	open     bool
	last     uint64
	devices  map[uint64]*vdset.Device
	commands map[uint64]vdset.Command
}

func clientOf(key unsafe.Pointer) *client {
	object, _ := objects.Load(key)
	return object.(*client)
}

func (c *client) get() *vdset.Set {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.set
}

// next numbers devices and commands; some apart, so that a number plus one is none.
func (c *client) next() uint64 {
	c.last += 16
	return c.last
}

// keep keeps a set that was made. Beside an open one it would be another object: closed again.
func (c *client) keep(set *vdset.Set, err error) C.int32_t {
	if err != nil {
		return number(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open {
		_ = set.Close()
		return C.VDSET_OK
	}
	c.set, c.open = set, true
	return C.VDSET_OK
}

//export face_client_new
func face_client_new() unsafe.Pointer {
	return register(&client{devices: map[uint64]*vdset.Device{},
		commands: map[uint64]vdset.Command{}})
}

//export face_client_free
func face_client_free(key unsafe.Pointer) {
	face_client_close(key)
	unregister(key)
}

//export face_client_create
func face_client_create(key unsafe.Pointer, name *C.char, wish *C.struct_vdset_config) C.int32_t {
	options := vdset.SetOptions{HandleLifetime: vdset.HandlesBuffer}
	return clientOf(key).keep(vdset.Create(C.GoString(name), wishOf(wish), &options))
}

//export face_client_join
func face_client_join(key unsafe.Pointer, name *C.char) C.int32_t {
	return clientOf(key).keep(vdset.OpenInSecondary(C.GoString(name), nil))
}

//export face_client_configuration
func face_client_configuration(key unsafe.Pointer, ms C.int64_t,
	out *C.struct_vdset_config) C.int32_t {
	set := clientOf(key).get()
	if set == nil {
		return cannot
	}
	ctx, cancel := within(ms)
	defer cancel()
	config, err := set.GetConfiguration(ctx)
	if err == nil {
		tell(config, out)
	}
	return number(err)
}

//export face_client_open_device
func face_client_open_device(key unsafe.Pointer, name *C.char, out *C.uint64_t) C.int32_t {
	c := clientOf(key)
	set := c.get()
	if set == nil {
		return cannot
	}
	device, err := set.OpenDevice(C.GoString(name))
	if err != nil {
		return number(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.next()
	c.devices[id] = device
	*out = C.uint64_t(id)
	return C.VDSET_OK
}

//export face_client_abort
func face_client_abort(key unsafe.Pointer, code C.int32_t, text *C.char) C.int32_t {
	set := clientOf(key).get()
	if set == nil {
		return cannot
	}
	return number(set.SignalAbort(int32(code), C.GoString(text)))
}

//export face_client_reason
func face_client_reason(key unsafe.Pointer, out *C.struct_vdset_abort_reason) C.int32_t {
	set := clientOf(key).get()
	if set == nil {
		return cannot
	}
	reason, err := set.AbortReason()
	if err == nil {
		tellReason(reason, out)
	}
	return number(err)
}

//export face_client_get_handle
func face_client_get_handle(key, buffer unsafe.Pointer, out *C.uint32_t) C.int32_t {
	set := clientOf(key).get()
	if set == nil {
		return cannot
	}
	handle, err := set.GetBufferHandle(bytesAt(buffer))
	*out = C.uint32_t(handle)
	return number(err)
}

//export face_client_map_handle
func face_client_map_handle(key unsafe.Pointer, handle C.uint32_t,
	out *unsafe.Pointer) C.int32_t {
	set := clientOf(key).get()
	if set == nil {
		return cannot
	}
	bytes, err := set.MapBufferHandle(vdset.Handle(handle))
	if err == nil {
		*out = unsafe.Pointer(&bytes[0])
	}
	return number(err)
}

//export face_client_close
func face_client_close(key unsafe.Pointer) C.int32_t {
	c := clientOf(key)
	set := c.get()
	if set == nil {
		return cannot
	}
	err := set.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = false
	return number(err)
}

//export face_client_get
func face_client_get(key unsafe.Pointer, device C.uint64_t, ms C.int64_t,
	out *C.struct_face_command) C.int32_t {
	c := clientOf(key)
	c.mu.Lock()
	d := c.devices[uint64(device)]
	c.mu.Unlock()
	if d == nil {
		return cannot
	}
	var command vdset.Command
	var err error
	if ms == 0 {
		command, err = d.TryGetCommand()
	} else {
		ctx, cancel := within(ms)
		command, err = d.GetCommand(ctx)
		cancel()
	}
	if err != nil {
		return number(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.next()
	c.commands[id] = command
	out.code, out.size = C.int32_t(command.Code()), C.int32_t(command.Size())
	out.position, out.token = C.int64_t(command.Position()), C.uint64_t(id)
	out.buffer = nil
	if buffer := command.Buffer(); buffer != nil {
		out.buffer = unsafe.Pointer(&buffer[0])
	}
	return C.VDSET_OK
}

// A command knows its device; the zero token is the zero Command.
//
//export face_client_complete
func face_client_complete(key unsafe.Pointer, device, token C.uint64_t, code C.int32_t,
	bytes C.uint32_t, position C.int64_t) C.int32_t {
	c := clientOf(key)
	c.mu.Lock()
	d := c.devices[uint64(device)]
	command, known := c.commands[uint64(token)]
	c.mu.Unlock()
	if d == nil || (token != 0 && (!known || command.Device() != d)) {
		return cannot
	}
	result := vdset.CompletionCode(code)
	if command.Code() == vdset.CommandGetPosition || command.Code() == vdset.CommandSetPosition {
		return number(command.CompleteAt(result, int64(position)))
	}
	return number(command.Complete(result, int(bytes)))
}
