// Package cloop does in C, without Go, what the benchmarks of package vdset do in Go: the ground
// that they stand on.
package cloop

// #cgo pkg-config: vdset
// #include "cloop.h"
import "C"

import (
	"errors"
	"unsafe"
)

// Rig is a set with one device, all roles in this process and in the thread that calls.
type Rig struct{ c C.struct_cloop_rig }

// New makes a set of this name in a directory.
func New(name, directory string) (*Rig, error) {
	cName, cDirectory := C.CString(name), C.CString(directory)
	defer C.free(unsafe.Pointer(cName))
	defer C.free(unsafe.Pointer(cDirectory))
	rig := &Rig{}
	if code := C.cloop_open(&rig.c, cName, cDirectory); code != C.VDSET_OK {
		return nil, errors.New(C.GoString(C.vdset_error_name(code)))
	}
	return rig, nil
}

// Commands sends, fetches, completes and reaps n commands. False: something failed.
func (r *Rig) Commands(n int) bool { return C.cloop_commands(&r.c, C.long(n)) != 0 }

// Handles makes n handles of a lent buffer and maps each. False: something failed.
func (r *Rig) Handles(n int) bool { return C.cloop_handles(&r.c, C.long(n)) != 0 }

// Crossings calls C n times, for nothing: the least that a call of the library can cost in Go.
func (r *Rig) Crossings(n int) bool {
	sum := C.int32_t(0)
	for i := 0; i < n; i++ {
		sum += C.cloop_nothing(C.uintptr_t(uintptr(unsafe.Pointer(r.c.set))), 1)
	}
	return int(sum) == n
}

// Close ends the set.
func (r *Rig) Close() { C.cloop_close(&r.c) }
