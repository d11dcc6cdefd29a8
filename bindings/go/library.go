package vdset

// #cgo pkg-config: vdset
// #include "glue.h"
import "C"

import "unsafe"

// The version of the header that this package was built with; Version is the library's.
const (
	VersionMajor  = C.VDSET_VERSION_MAJOR
	VersionMinor  = C.VDSET_VERSION_MINOR
	VersionPatch  = C.VDSET_VERSION_PATCH
	LayoutVersion = C.VDSET_LAYOUT_VERSION
)

// Version of the library that is running: major << 16 | minor << 8 | patch.
func Version() uint32 { return uint32(C.vdset_version()) }

// Support is something that a library may be able to do, or the kernel may let it do.
type Support uint32

// What Supports can be asked about.
const (
	SupportDescriptors Support = C.VDSET_SUPPORT_DESCRIPTORS
	SupportAllocator   Support = C.VDSET_SUPPORT_ALLOCATOR
	SupportLog         Support = C.VDSET_SUPPORT_LOG
	SupportWaitMany    Support = C.VDSET_SUPPORT_WAIT_MANY    // One bridge thread for a whole set.
	SupportPeerPidfd   Support = C.VDSET_SUPPORT_PEER_PIDFD   // Peers in foreign pid namespaces.
	SupportSealWriters Support = C.VDSET_SUPPORT_SEAL_WRITERS // No writable map of server words.
)

// Supports says whether it is there.
func Supports(what Support) bool { return C.vdset_supports(C.uint32_t(what)) == 1 }

// SetAllocator takes the memory of the library's own objects from a `struct vdset_allocator` of C,
// nil for the library's default. For programs that have one in C; before any other call but
// Version, Supports and SetLog. ErrProtocol: the library has memory already.
func SetAllocator(allocator unsafe.Pointer) error {
	return call(func() C.int32_t {
		return C.vdset_library_set_allocator((*C.struct_vdset_allocator)(allocator))
	})
}
