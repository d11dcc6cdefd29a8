//go:build go1.23

package vdset

import (
	"context"
	"iter"
)

// Commands ranges over the commands of the device until it is closed. When a wait fails the last
// round has its error. The body completes the command, then or later.
func (d *Device) Commands(ctx context.Context) iter.Seq2[Command, error] {
	return func(yield func(Command, error) bool) {
		for {
			command, err := d.GetCommand(ctx)
			if err == ErrClose || !yield(command, err) || err != nil {
				return
			}
		}
	}
}
