package vdset

// #include "glue.h"
import "C"

import (
	"fmt"
	"sync/atomic"
	"unsafe"
)

// Handle names a buffer in every process of a set, and nothing in another set. 0 is none.
type Handle uint32

func (h Handle) String() string { return fmt.Sprintf("0x%08x", uint32(h)) }

// at is an address of C's memory as a number.
func at(address unsafe.Pointer) C.uintptr_t { return C.uintptr_t(uintptr(address)) }

func handleOf(out C.struct_go_handle) (Handle, error) {
	if out.code != C.VDSET_OK {
		return 0, refusal(out.code)
	}
	return Handle(out.handle), nil
}

func bytesOf(out C.struct_go_bytes) ([]byte, error) {
	if out.code != C.VDSET_OK {
		return nil, refusal(out.code)
	}
	return unsafe.Slice((*byte)(out.address), int(out.bytes)), nil
}

// BufferInfo tells which buffer of a set it is, and how large.
type BufferInfo struct {
	Number      int // The same in every process of the set, and no other buffer's while it lives.
	DataBytes   int
	PrefixBytes int // Just before the data start.
}

func infoOf(code C.int32_t, c *C.struct_vdset_buffer) (BufferInfo, error) {
	if code != C.VDSET_OK {
		return BufferInfo{}, refusal(code)
	}
	return BufferInfo{int(c.number), int(c.data_bytes), int(c.prefix_bytes)}, nil
}

// What a Buffer is doing.
const (
	bufferOwned uint32 = iota // The caller's.
	bufferSent                // In a command under way.
	bufferFreed
)

// Buffer is a buffer of a Server. It is the caller's until a command with it is sent, and again
// from the completion on, until it is freed or the server is closed.
type Buffer struct {
	server *Server
	data   unsafe.Pointer
	size   int
	state  atomic.Uint32
}

// Size is what AllocateBuffer was asked for.
func (b *Buffer) Size() int { return b.size }

// Bytes is the shared memory; nil while a command with it is under way, and at the end.
func (b *Buffer) Bytes() []byte {
	if b.state.Load() != bufferOwned || b.server.closing.Load() {
		return nil
	}
	return unsafe.Slice((*byte)(b.data), b.size)
}

// Handle returns its handle; SetOptions.HandleLifetime says for how long there is one.
func (b *Buffer) Handle() (Handle, error) {
	if err := b.server.gate.enter(); err != nil {
		return 0, err
	}
	defer b.server.gate.leave()
	if b.state.Load() == bufferFreed {
		return 0, ErrInvalid
	}
	return handleOf(C.go_server_get_handle(at(unsafe.Pointer(b.server.c)), at(b.data)))
}

// Describe tells which buffer of the set it is, and how large.
func (b *Buffer) Describe() (BufferInfo, error) {
	if err := b.server.gate.enter(); err != nil {
		return BufferInfo{}, err
	}
	defer b.server.gate.leave()
	var out C.struct_vdset_buffer
	out.struct_bytes = C.uint32_t(unsafe.Sizeof(out))
	return infoOf(C.vdset_server_describe_buffer(b.server.c, b.data, &out), &out)
}

// Free gives it back to the set. ErrInvalid: freed already, or in a command under way.
func (b *Buffer) Free() error {
	if err := b.server.gate.enter(); err != nil {
		return err
	}
	defer b.server.gate.leave()
	if !b.state.CompareAndSwap(bufferOwned, bufferFreed) {
		return errorf(ErrInvalid, "the buffer is in a command under way, or freed already")
	}
	return call(func() C.int32_t {
		return C.vdset_server_free_buffer(b.server.c, b.data, C.uint32_t(b.size))
	})
}
