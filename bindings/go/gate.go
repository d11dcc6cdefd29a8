package vdset

import "sync"

// gate counts the calls that are inside an object of the library, so that none is under way when
// the object is closed, and none begins afterwards.
type gate struct {
	calls sync.RWMutex
	shut  bool
}

// enter lets a call in; an object that is closed has ErrNotOpen instead.
func (g *gate) enter() error {
	g.calls.RLock()
	if g.shut {
		g.calls.RUnlock()
		return errorf(ErrNotOpen, "the object is closed")
	}
	return nil
}

func (g *gate) leave() { g.calls.RUnlock() }

// close waits for the calls inside. Waiting ones must have been woken.
func (g *gate) close() {
	g.calls.Lock()
	g.shut = true
	g.calls.Unlock()
}
