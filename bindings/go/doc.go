// Package vdset is the Go face of vdset.h: virtual device sets in shared memory, both halves.
//
// A database engine (a Server) backs up or restores by sending commands to 1..64 virtual devices; a
// backup agent (a Set made by Create) fetches them and completes them; helper processes (a Set made
// by OpenInSecondary) do the same for devices they open, or touch the very same buffers through
// handles. No byte is copied on the way. Any process may die at any instant: the others are told.
//
// # Waiting
//
// GetCommand, GetConfiguration, WaitForAbort and NextCompletion wait in Go's own poller, through
// the object's pollable descriptor: a goroutine that waits holds no thread. They end with the
// context's error when it is done, and with ErrNotOpen when the object is closed. What begins
// before its context is done is not undone by it.
//
// # Memory
//
// Buffers are shared memory, seen as byte slices. Command.Buffer and Buffer.Bytes give the slice
// while it is the caller's and nil afterwards. A slice that was kept must not be used beyond that:
// its bytes are another process's then, and after Close they are not mapped any more, which ends
// the program.
//
// # Errors
//
// A failed call gives an *Error with the library's words, which unwraps to one of the codes:
//
//	if errors.Is(err, vdset.ErrAbort) { ... }
//
// TIMEOUT, CLOSE and INTERRUPTED, which are no failures, come as the bare code.
//
// # Concurrency
//
// Every method may be called from any goroutine at once, with one exception that gives ErrBusy: one
// goroutine in GetCommand for each device, one in NextCompletion for each server.
package vdset
