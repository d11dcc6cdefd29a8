package vdset

// #include "glue.h"
import "C"

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"
)

// ServerDevice is one device of a Server, and ends with it.
type ServerDevice struct {
	c      *C.vdset_server_device
	server *Server
	name   string
}

// ServerCommand is a command to send. It may be sent again once it is final; it must not be copied.
type ServerCommand struct {
	Code     CommandCode
	Size     int     // Bytes of a Read or Write, the count of SkipMarks and SkipBlocks.
	Position int64   // Read and Write with RandomAccess; SetPosition.
	Buffer   *Buffer // Of a Read or Write. Nobody's while the command is under way.

	// Called by Server.RunCompletionAgent and Server.Close when the command is final. It may call
	// every method of the server and its devices, but no second one that waits for completions.
	Done func(*ServerCommand)

	// The results, once it is final.
	CompletionCode   CompletionCode
	BytesTransferred int // 0..Size.
	OutPosition      int64

	underWay atomic.Bool
}

// Name returns the device's name.
func (d *ServerDevice) Name() string { return d.name }

// SendCommand sends a command. It and its buffer are the library's until it is final, which
// NextCompletion or Done tell once for each that was sent. On an error it was not sent:
// ErrQueueFull, ErrIOError, ErrProtocol (the device is closed, or no client has opened it yet),
// ErrAbort, ErrInvalid; CompletionCode then has the code that VDI gives the command for it, but for
// ErrInvalid. It does not block.
func (d *ServerDevice) SendCommand(command *ServerCommand) error {
	s := d.server
	if err := s.gate.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	if !command.underWay.CompareAndSwap(false, true) {
		return errorf(ErrInvalid, "device "+d.name+": the command is under way already")
	}
	if err := lend(command, s); err != nil {
		command.underWay.Store(false)
		return err
	}
	c := s.sent.put(command)
	runtime.LockOSThread()
	err := failure(C.go_send_command(at(unsafe.Pointer(d.c)), at(unsafe.Pointer(c))))
	runtime.UnlockOSThread()
	if err != nil {
		if !isCode(err, ErrInvalid) {
			command.CompletionCode = CompletionCode(c.completion_code)
		}
		s.sent.remove(c).release()
	}
	return err
}

// lend checks what C could not see, and takes the buffer from the caller.
func lend(command *ServerCommand, s *Server) error {
	if command.Size < math.MinInt32 || command.Size > math.MaxInt32 {
		return errorf(ErrInvalid, fmt.Sprintf("Size: %d has more than 32 bits", command.Size))
	}
	b := command.Buffer
	if b == nil {
		return nil
	}
	if b.server != s {
		return errorf(ErrInvalid, "Buffer: of another server")
	}
	if !b.state.CompareAndSwap(bufferOwned, bufferSent) {
		return errorf(ErrInvalid, "Buffer: in a command under way, or freed")
	}
	return nil
}

// release gives the command and its buffer back to the caller.
func (command *ServerCommand) release() {
	if command.Buffer != nil {
		command.Buffer.state.Store(bufferOwned)
	}
	command.underWay.Store(false)
}

// Close closes the device: the client sees ErrClose after what is queued. With the last device the
// set ends normally. ErrClose: closed already.
func (d *ServerDevice) Close() error {
	if err := d.server.gate.enter(); err != nil {
		return err
	}
	defer d.server.gate.leave()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return outcome(C.vdset_server_device_close(d.c))
}

// Outstanding is how many commands of this device are sent and not yet final.
func (d *ServerDevice) Outstanding() (int, error) {
	var out C.uint32_t
	err := d.server.inside(func() C.int32_t {
		return C.vdset_server_device_outstanding(d.c, &out)
	})
	return int(out), err
}

// sentTable keeps the commands that are under way: their structs in C's memory, whose context is
// the index of the Go command.
type sentTable struct {
	mu       sync.Mutex
	commands []*ServerCommand
	structs  []*C.struct_vdset_command
	free     []int
	slabs    []unsafe.Pointer
}

const slabStructs = 64

// put gives the command a struct, ready to be sent.
func (t *sentTable) put(command *ServerCommand) *C.struct_vdset_command {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.free) == 0 {
		t.grow()
	}
	index := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	t.commands[index] = command
	c := t.structs[index]
	c.struct_bytes = C.sizeof_struct_vdset_command
	c.code = C.uint32_t(command.Code)
	c.size = C.int32_t(command.Size)
	c.position = C.int64_t(command.Position)
	c.buffer = nil
	if command.Buffer != nil {
		c.buffer = command.Buffer.data
	}
	return c
}

func (t *sentTable) grow() {
	slab := C.calloc(slabStructs, C.sizeof_struct_vdset_command) // Never nil: cgo sees to that.
	t.slabs = append(t.slabs, slab)
	structs := unsafe.Slice((*C.struct_vdset_command)(slab), slabStructs)
	for i := range structs {
		C.go_set_context(&structs[i], C.uintptr_t(len(t.structs)))
		t.free = append(t.free, len(t.structs))
		t.structs = append(t.structs, &structs[i])
		t.commands = append(t.commands, nil)
	}
}

// contextOf reads the index that stands in the place of a pointer, without making a pointer of it.
func contextOf(c *C.struct_vdset_command) int {
	return int(*(*uintptr)(unsafe.Pointer(&c.context)))
}

// remove takes the command out, as it was put in.
func (t *sentTable) remove(c *C.struct_vdset_command) *ServerCommand {
	index := contextOf(c)
	t.mu.Lock()
	defer t.mu.Unlock()
	command := t.commands[index]
	t.commands[index] = nil
	t.free = append(t.free, index)
	return command
}

// take takes a command out that is final, with its results.
func (t *sentTable) take(c *C.struct_vdset_command) *ServerCommand {
	code, bytes := CompletionCode(c.completion_code), int(c.bytes_transferred)
	position := int64(c.out_position)
	command := t.remove(c)
	command.CompletionCode, command.BytesTransferred = code, bytes
	command.OutPosition = position
	command.release()
	return command
}

// abandon ends all that are under way, when the library is done with them, and frees the structs.
func (t *sentTable) abandon() []*ServerCommand {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []*ServerCommand
	for _, command := range t.commands {
		if command == nil {
			continue
		}
		command.CompletionCode, command.BytesTransferred = OperationAborted, 0
		command.OutPosition = 0
		command.release()
		out = append(out, command)
	}
	for _, slab := range t.slabs {
		C.free(slab)
	}
	t.commands, t.structs, t.free, t.slabs = nil, nil, nil, nil
	return out
}
