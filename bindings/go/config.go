package vdset

// #include "glue.h"
import "C"

import (
	"fmt"
	"math"
	"strings"
	"time"
	"unsafe"
)

// Config is VDI's VDConfig. The client fills the fields up to ServerTimeout for Create; the
// server's answer, from GetConfiguration, has all.
type Config struct {
	DeviceCount            int
	Features               Features
	PrefixZoneBytes        int           // Private bytes of the client just before each buffer.
	AlignmentBytes         int           // In: the least that the client needs; out: the agreed one.
	SoftFileMarkBlockBytes int           // With FileMarks; 0 hard marks.
	EOMWarningBytes        int           // 0 none.
	ServerTimeout          time.Duration // Abort when nothing completes for two of it; 0 never.

	BlockBytes       int   // Every transfer is a multiple of it.
	MaxIODepth       int   // Always 4, as VDI says; the real one is SetOptions.QueueDepth.
	MaxTransferBytes int   // The largest single Read or Write.
	BufferAreaBytes  int64 // All buffers together, MaxUint32 when more.
}

// SetOptions of a set, fixed by its primary. The zero value is the defaults.
type SetOptions struct {
	HandleLifetime   HandleLifetime
	OnSecondaryDeath SecondaryDeath
	QueueDepth       int  // Commands in flight for each device: a power of two 8..128; 0 is 16.
	DataReadOnly     bool // Clients map buffers read-only: to write to one ends the program.
	AllowedGIDSet    bool // AllowedGID counts.
	AllowedGID       uint32
	AllowedUIDs      []uint32
	Directory        string // Where names live; "" the default places.
}

// JoinOptions of a process that joins. The zero value is the defaults.
type JoinOptions struct {
	BuffersMax   int    // Server: how many buffers the set may ever have; 0 twice the requested.
	AreaBytesMax uint64 // Server: no more than this for buffers; 0 what the system has.
	Directory    string
}

// BaseConfiguration is what the server fixes first.
type BaseConfiguration struct {
	Features         Features // The client's, plus WriteMedia or ReadMedia or both.
	BlockBytes       int      // A power of two, 512..65536.
	AlignmentBytes   int      // 0 is BlockBytes.
	MaxTransferBytes int      // A multiple of 65536, up to 4 MiB.
}

// AbortReason tells who ended a set, and why.
type AbortReason struct {
	Role Role
	Pid  int // As the server's system numbers it; 0 unknown.
	Call AbortCall
	Code int32 // The result or Win32 code that led to it; 0 none given.
	Text string
}

// Loss is a secondary client that died, or left with commands in its hands.
type Loss struct {
	Number     int       // Of this loss: 1, 2, ... in the set's life.
	Count      int       // Of all losses so far.
	Call       AbortCall // AbortDied or AbortLeft.
	Pid        int       // As the server's system numbers it; 0 unknown.
	Devices    int       // It had open; they can be opened again.
	Commands   int       // It had fetched and not completed.
	HandedOver int       // Of these, wait for who opens the device next; the others failed.
	Device     string    // The first of its devices; "" without.
}

// narrower makes C's 32-bit numbers of Go's, and remembers the first that does not fit.
type narrower struct{ err error }

func (n *narrower) number(what string, value int) C.uint32_t {
	if (value < 0 || uint64(value) > math.MaxUint32) && n.err == nil {
		n.err = errorf(ErrInvalid, fmt.Sprintf("%s: %d is not 0..4294967295", what, value))
	}
	return C.uint32_t(value)
}

func (n *narrower) milliseconds(what string, value time.Duration) C.uint32_t {
	whole := value / time.Millisecond
	if value%time.Millisecond > 0 {
		whole++ // Never earlier than asked.
	}
	if (whole < 0 || value < 0 || whole > math.MaxUint32) && n.err == nil {
		n.err = errorf(ErrInvalid, fmt.Sprintf("%s: %v is not 0..4294967295 ms", what, value))
	}
	return C.uint32_t(whole)
}

func flag(set bool) C.uint32_t {
	if set {
		return 1
	}
	return 0
}

func (c *Config) toC() (out C.struct_vdset_config, err error) {
	var n narrower
	out.struct_bytes = C.uint32_t(unsafe.Sizeof(out))
	out.device_count = n.number("DeviceCount", c.DeviceCount)
	out.features = C.uint32_t(c.Features)
	out.prefix_zone_bytes = n.number("PrefixZoneBytes", c.PrefixZoneBytes)
	out.alignment_bytes = n.number("AlignmentBytes", c.AlignmentBytes)
	out.soft_file_mark_block_bytes = n.number("SoftFileMarkBlockBytes", c.SoftFileMarkBlockBytes)
	out.eom_warning_bytes = n.number("EOMWarningBytes", c.EOMWarningBytes)
	out.server_timeout_ms = n.milliseconds("ServerTimeout", c.ServerTimeout)
	return out, n.err
}

func configFromC(c *C.struct_vdset_config) Config {
	return Config{
		DeviceCount:            int(c.device_count),
		Features:               Features(c.features),
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

func (b *BaseConfiguration) toC() (out C.struct_vdset_base_configuration, err error) {
	var n narrower
	out.struct_bytes = C.uint32_t(unsafe.Sizeof(out))
	out.features = C.uint32_t(b.Features)
	out.block_bytes = n.number("BlockBytes", b.BlockBytes)
	out.alignment_bytes = n.number("AlignmentBytes", b.AlignmentBytes)
	out.max_transfer_bytes = n.number("MaxTransferBytes", b.MaxTransferBytes)
	return out, n.err
}

func reasonFromC(r *C.struct_vdset_abort_reason) AbortReason {
	return AbortReason{Role(r.role), int(r.pid), AbortCall(r.call), int32(r.code),
		C.GoString(&r.text[0])}
}

func lossFromC(l *C.struct_vdset_loss) Loss {
	return Loss{int(l.number), int(l.count), AbortCall(l.call), int(l.pid), int(l.devices),
		int(l.commands), int(l.handed_over), C.GoString(&l.device[0])}
}

// cMemory is what a call needs in C's memory for as long as it runs: C may not be handed Go
// pointers to Go pointers.
type cMemory struct{ blocks []unsafe.Pointer }

func (m *cMemory) free() {
	for _, block := range m.blocks {
		C.free(block)
	}
}

func (m *cMemory) text(what, value string) (*C.char, error) {
	if strings.IndexByte(value, 0) >= 0 {
		return nil, errorf(ErrInvalid, what+": has a NUL byte")
	}
	text := C.CString(value)
	m.blocks = append(m.blocks, unsafe.Pointer(text))
	return text, nil
}

// optional is text, but NULL for "".
func (m *cMemory) optional(what, value string) (*C.char, error) {
	if value == "" {
		return nil, nil
	}
	return m.text(what, value)
}

func (m *cMemory) numbers(values []uint32) *C.uint32_t {
	if len(values) == 0 {
		return nil
	}
	block := C.malloc(C.size_t(len(values)) * C.size_t(unsafe.Sizeof(values[0])))
	m.blocks = append(m.blocks, block)
	copy(unsafe.Slice((*uint32)(block), len(values)), values)
	return (*C.uint32_t)(block)
}

// setOptions gives the struct in C's memory; nil for nil.
func (m *cMemory) setOptions(o *SetOptions) (*C.struct_vdset_set_options, error) {
	if o == nil {
		return nil, nil
	}
	var n narrower
	out := (*C.struct_vdset_set_options)(C.calloc(1, C.sizeof_struct_vdset_set_options))
	m.blocks = append(m.blocks, unsafe.Pointer(out))
	out.struct_bytes = C.sizeof_struct_vdset_set_options
	out.handle_lifetime = C.uint32_t(o.HandleLifetime)
	out.on_secondary_death = C.uint32_t(o.OnSecondaryDeath)
	out.queue_depth = n.number("QueueDepth", o.QueueDepth)
	out.data_read_only = flag(o.DataReadOnly)
	out.allowed_gid_set = flag(o.AllowedGIDSet)
	out.allowed_gid = C.uint32_t(o.AllowedGID)
	out.allowed_uids_count = n.number("AllowedUIDs", len(o.AllowedUIDs))
	out.allowed_uids = m.numbers(o.AllowedUIDs)
	directory, err := m.optional("Directory", o.Directory)
	out.directory = directory
	if err == nil {
		err = n.err
	}
	return out, err
}

func (m *cMemory) joinOptions(o *JoinOptions) (*C.struct_vdset_join_options, error) {
	if o == nil {
		return nil, nil
	}
	var n narrower
	out := (*C.struct_vdset_join_options)(C.calloc(1, C.sizeof_struct_vdset_join_options))
	m.blocks = append(m.blocks, unsafe.Pointer(out))
	out.struct_bytes = C.sizeof_struct_vdset_join_options
	out.buffers_max = n.number("BuffersMax", o.BuffersMax)
	out.area_bytes_max = C.uint64_t(o.AreaBytesMax)
	directory, err := m.optional("Directory", o.Directory)
	out.directory = directory
	if err == nil {
		err = n.err
	}
	return out, err
}

// join makes a call that joins the set of another process.
func join(name string, options *JoinOptions,
	open func(*C.char, *C.struct_vdset_join_options) C.int32_t) error {
	var memory cMemory
	defer memory.free()
	cName, err := memory.text("name", name)
	if err != nil {
		return err
	}
	cOptions, err := memory.joinOptions(options)
	if err != nil {
		return err
	}
	return call(func() C.int32_t { return open(cName, cOptions) })
}
