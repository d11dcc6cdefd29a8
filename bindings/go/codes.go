package vdset

// #include "glue.h"
import "C"

import (
	"errors"
	"runtime"
)

// Code is a result code of VDI. The codes below are the sentinels for errors.Is.
type Code int32

// The result codes; vdset.h says when each is returned.
const (
	ErrNotOpen      Code = C.VDSET_E_NOTOPEN       // The object is closed.
	ErrTimeout      Code = C.VDSET_E_TIMEOUT       // Nothing there now, or the time is up.
	ErrAbort        Code = C.VDSET_E_ABORT         // The set is aborted: see AbortReason.
	ErrSecurity     Code = C.VDSET_E_SECURITY      // Not admitted, or a directory not to be trusted.
	ErrInvalid      Code = C.VDSET_E_INVALID       // A bad parameter.
	ErrInstanceName Code = C.VDSET_E_INSTANCE_NAME // Never returned; VDI has it.
	ErrNotSupported Code = C.VDSET_E_NOTSUPPORTED  // A configuration that VDI does not allow.
	ErrMemory       Code = C.VDSET_E_MEMORY        // Not enough memory, or no buffer free.
	ErrUnexpected   Code = C.VDSET_E_UNEXPECTED    // The system refused something.
	ErrProtocol     Code = C.VDSET_E_PROTOCOL      // Not callable in this state; a name in use.
	ErrOpen         Code = C.VDSET_E_OPEN          // All devices are open; some were, at Close.
	ErrClose        Code = C.VDSET_E_CLOSE         // The normal end.
	ErrBusy         Code = C.VDSET_E_BUSY          // Another goroutine is in this call.
	ErrQueueFull    Code = C.VDSET_E_QUEUE_FULL    // Wait for a completion.
	ErrIOError      Code = C.VDSET_E_IO_ERROR      // Send ClearError.
	ErrInterrupted  Code = C.VDSET_E_INTERRUPTED   // Interrupt ended the wait.
)

// Name returns the code's name in vdset.h, "VDSET_E_TIMEOUT" and so on.
func (c Code) Name() string { return C.GoString(C.vdset_error_name(C.int32_t(c))) }

func (c Code) Error() string { return "vdset: " + c.Name() }

// Timeout says whether the code is ErrTimeout, as net.Error does.
func (c Code) Timeout() bool { return c == ErrTimeout }

// Error is a failed call: the code, and what was found, where, and what to do.
type Error struct {
	Code Code
	Text string
}

func (e *Error) Error() string { return "vdset: " + e.Text + " (" + e.Code.Name() + ")" }

// Unwrap gives the code.
func (e *Error) Unwrap() error { return e.Code }

func errorf(code Code, text string) error { return &Error{code, text} }

// call makes a call of the library. Its words about a failure belong to the thread that called.
func call(f func() C.int32_t) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return failure(f())
}

// failure is the error of a call that this very thread made. The goroutine is locked to it.
func failure(code C.int32_t) error {
	if code == C.VDSET_OK {
		return nil
	}
	return &Error{Code(code), C.GoString(C.vdset_last_error())}
}

// outcome is failure for calls that say TIMEOUT, CLOSE and INTERRUPTED without words, when there is
// nothing wrong. A constant costs no memory.
func outcome(code C.int32_t) error {
	switch Code(code) {
	case ErrTimeout:
		return ErrTimeout
	case ErrClose:
		return ErrClose
	case ErrInterrupted:
		return ErrInterrupted
	}
	return failure(code)
}

// refusal is the error of a call about a handle, which gives no words.
func refusal(code C.int32_t) error {
	if Code(code) == ErrInvalid {
		return ErrInvalid
	}
	return Code(code)
}

func isCode(err error, code Code) bool { return errors.Is(err, code) }
