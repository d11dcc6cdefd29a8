package main

// #include "face_library.h"
//
// static void face_tell(face_finish finish, void* sent, int32_t code, int32_t bytes,
//                       int64_t position) {
//   finish(sent, code, bytes, position);
// }
import "C"

import (
	"context"
	"errors"
	"sync"
	"unsafe"

	"vdset"
)

type server struct {
	finish C.face_finish

	mu      sync.Mutex // Guards the rest.
	server  *vdset.Server
	open    bool
	last    uint64
	devices map[uint64]*vdset.ServerDevice
	buffers map[unsafe.Pointer]*vdset.Buffer // Also those that were freed: they say so themselves.
}

func serverOf(key unsafe.Pointer) *server {
	object, _ := objects.Load(key)
	return object.(*server)
}

func (s *server) get() *vdset.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.server
}

// with makes a call of the server, if there is one.
func with(key unsafe.Pointer, call func(*vdset.Server) error) C.int32_t {
	s := serverOf(key).get()
	if s == nil {
		return cannot
	}
	return C.int32_t(number(call(s)))
}

//export face_server_new
func face_server_new(finish C.face_finish) unsafe.Pointer {
	return register(&server{finish: finish, devices: map[uint64]*vdset.ServerDevice{},
		buffers: map[unsafe.Pointer]*vdset.Buffer{}})
}

//export face_server_free
func face_server_free(key unsafe.Pointer) {
	face_server_close(key)
	unregister(key)
}

//export face_server_open
func face_server_open(key unsafe.Pointer, name *C.char, areaBytesMax C.uint64_t) C.int32_t {
	options := vdset.JoinOptions{AreaBytesMax: uint64(areaBytesMax)}
	made, err := vdset.OpenServer(C.GoString(name), &options)
	if err != nil {
		return C.int32_t(number(err))
	}
	s := serverOf(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		_ = made.Close() // Another object, as it would be in a program.
		return C.VDSET_OK
	}
	s.server, s.open = made, true
	return C.VDSET_OK
}

//export face_server_configuration
func face_server_configuration(key unsafe.Pointer, out *C.struct_vdset_config) C.int32_t {
	return with(key, func(s *vdset.Server) error {
		config, err := s.GetConfiguration()
		if err == nil {
			tell(config, out)
		}
		return err
	})
}

//export face_server_begin
func face_server_begin(key unsafe.Pointer, features, block, alignment,
	transfer C.uint32_t) C.int32_t {
	return with(key, func(s *vdset.Server) error {
		return s.BeginConfiguration(vdset.BaseConfiguration{
			Features: vdset.Features(features), BlockBytes: int(block),
			AlignmentBytes: int(alignment), MaxTransferBytes: int(transfer)})
	})
}

//export face_server_request
func face_server_request(key unsafe.Pointer, size, alignment, count C.uint32_t) C.int32_t {
	return with(key, func(s *vdset.Server) error {
		return s.RequestBuffers(int(size), int(alignment), int(count))
	})
}

//export face_server_query
func face_server_query(key unsafe.Pointer, size, alignment C.uint32_t,
	out *C.uint32_t) C.int32_t {
	return with(key, func(s *vdset.Server) error {
		count, err := s.QueryAvailableBuffers(int(size), int(alignment))
		if err == nil {
			*out = C.uint32_t(count)
		}
		return err
	})
}

//export face_server_end
func face_server_end(key unsafe.Pointer) C.int32_t {
	return with(key, (*vdset.Server).EndConfiguration)
}

//export face_server_open_device
func face_server_open_device(key unsafe.Pointer, name *C.char, out *C.uint64_t) C.int32_t {
	return with(key, func(s *vdset.Server) error {
		device, err := s.OpenDevice(C.GoString(name))
		if err != nil {
			return err
		}
		face := serverOf(key)
		face.mu.Lock()
		defer face.mu.Unlock()
		face.last++
		face.devices[face.last] = device
		*out = C.uint64_t(face.last)
		return nil
	})
}

//export face_server_run_agent
func face_server_run_agent(key unsafe.Pointer) C.int32_t {
	return with(key, func(s *vdset.Server) error {
		return s.RunCompletionAgent(context.Background())
	})
}

//export face_server_allocate
func face_server_allocate(key unsafe.Pointer, size, alignment C.uint32_t,
	out *unsafe.Pointer) C.int32_t {
	return with(key, func(s *vdset.Server) error {
		buffer, err := s.AllocateBuffer(int(size), int(alignment))
		if err != nil {
			return err
		}
		face := serverOf(key)
		face.mu.Lock()
		defer face.mu.Unlock()
		*out = unsafe.Pointer(&buffer.Bytes()[0])
		face.buffers[*out] = buffer
		return nil
	})
}

func (s *server) bufferAt(address unsafe.Pointer) *vdset.Buffer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buffers[address]
}

//export face_server_release
func face_server_release(key, address unsafe.Pointer) C.int32_t {
	buffer := serverOf(key).bufferAt(address)
	if buffer == nil {
		return cannot
	}
	return C.int32_t(number(buffer.Free()))
}

//export face_server_is_shared
func face_server_is_shared(key, address unsafe.Pointer) C.int32_t {
	s := serverOf(key).get()
	if s == nil {
		return cannot
	}
	if s.IsSharedBuffer(bytesAt(address)) {
		return 1
	}
	return 0
}

//export face_server_abort
func face_server_abort(key unsafe.Pointer, code C.int32_t, text *C.char) C.int32_t {
	return with(key, func(s *vdset.Server) error {
		return s.SignalAbort(int32(code), C.GoString(text))
	})
}

//export face_server_reason
func face_server_reason(key unsafe.Pointer, out *C.struct_vdset_abort_reason) C.int32_t {
	return with(key, func(s *vdset.Server) error {
		reason, err := s.AbortReason()
		if err == nil {
			tellReason(reason, out)
		}
		return err
	})
}

//export face_server_close
func face_server_close(key unsafe.Pointer) C.int32_t {
	code := with(key, (*vdset.Server).Close)
	s := serverOf(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open = false
	return code
}

// What was not sent is told with the code that the refusal left in it, as a callback would be.
//
//export face_server_send
func face_server_send(key unsafe.Pointer, device C.uint64_t, sent unsafe.Pointer, code,
	size C.int32_t, position C.int64_t, address unsafe.Pointer) C.int32_t {
	s := serverOf(key)
	s.mu.Lock()
	d := s.devices[uint64(device)]
	s.mu.Unlock()
	command := &vdset.ServerCommand{Code: vdset.CommandCode(code), Size: int(size),
		Position: int64(position)}
	if address != nil {
		command.Buffer = s.bufferAt(address)
	}
	if d == nil || (address != nil && command.Buffer == nil) {
		return cannot
	}
	command.Done = func(done *vdset.ServerCommand) {
		C.face_tell(s.finish, sent, C.int32_t(done.CompletionCode),
			C.int32_t(done.BytesTransferred), C.int64_t(done.OutPosition))
	}
	err := d.SendCommand(command)
	if err != nil && !errors.Is(err, vdset.ErrInvalid) && !errors.Is(err, vdset.ErrNotOpen) {
		command.Done(command)
	}
	return C.int32_t(number(err))
}

//export face_server_close_device
func face_server_close_device(key unsafe.Pointer, device C.uint64_t) C.int32_t {
	s := serverOf(key)
	s.mu.Lock()
	d := s.devices[uint64(device)]
	s.mu.Unlock()
	if d == nil {
		return cannot
	}
	return C.int32_t(number(d.Close()))
}
