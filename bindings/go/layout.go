package vdset

// #include "glue.h"
import "C"

// layouts are the structs as this package sees them, for the test of parity: C may not be imported
// by a test.
func layouts() map[string]any {
	return map[string]any{
		"vdset_abort_reason":       C.struct_vdset_abort_reason{},
		"vdset_loss":               C.struct_vdset_loss{},
		"vdset_allocator":          C.struct_vdset_allocator{},
		"vdset_base_configuration": C.struct_vdset_base_configuration{},
		"vdset_buffer":             C.struct_vdset_buffer{},
		"vdset_command":            C.struct_vdset_command{},
		"vdset_config":             C.struct_vdset_config{},
		"vdset_join_options":       C.struct_vdset_join_options{},
		"vdset_set_options":        C.struct_vdset_set_options{},
	}
}
