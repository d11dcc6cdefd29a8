//go:build go1.23

package vdset

import (
	"context"
	"errors"
	"testing"
)

func TestCommandsRange(t *testing.T) {
	r := newRig(t, plan{devices: 1, buffers: 2})
	for i := 0; i < 2; i++ {
		must(t, r.engines[0].SendCommand(r.command(CommandWrite)))
	}
	for command, err := range r.devices[0].Commands(soon(t)) {
		must(t, err)
		must(t, command.Complete(Success, command.Size()))
		break
	}
	must(t, r.engines[0].Close())
	count := 0
	for command, err := range r.devices[0].Commands(soon(t)) {
		must(t, err)
		count++
		must(t, command.Complete(Success, command.Size()))
	}
	if count != 1 {
		t.Errorf("%d commands after one", count)
	}
	for i := 0; i < 2; i++ {
		_, err := r.server.NextCompletion(soon(t))
		must(t, err)
	}
	r.engines = nil
	r.finish()

	r = newRig(t, plan{devices: 1})
	ctx, cancel := context.WithCancel(background)
	cancel()
	rounds := 0
	for command, err := range r.devices[0].Commands(ctx) {
		rounds++
		if command.Alive() || !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	}
	if rounds != 1 {
		t.Errorf("%d rounds", rounds)
	}
	r.finish()
}
