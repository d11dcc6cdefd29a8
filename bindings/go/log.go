package vdset

// #include "glue.h"
import "C"

import (
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// LogLevel says how much is logged.
type LogLevel uint32

// The levels of the log.
const (
	LogOff     LogLevel = C.VDSET_LOG_OFF
	LogError   LogLevel = C.VDSET_LOG_ERROR   // A set ended before its time.
	LogWarning LogLevel = C.VDSET_LOG_WARNING // A peer died, left or was refused.
	LogInfo    LogLevel = C.VDSET_LOG_INFO    // Sets and peers come and go.
	LogDebug   LogLevel = C.VDSET_LOG_DEBUG
)

// LogLine is a line of the log.
type LogLine struct {
	Level LogLevel
	Text  string
	Lost  int // Lines before this one that the reader was too slow for.
}

// logger reads the lines of one SetLog in a goroutine.
type logger struct {
	c      *C.struct_go_log
	reader *os.File
	ended  chan struct{}
}

var theLog struct {
	mu      sync.Mutex
	current *logger
}

// SetLog sets the log of this process, for lines up to level. LogOff ends it; f may be nil then. f
// is called by one goroutine of its own, and may call this package but not SetLog. What was logged
// before SetLog returns is told to the old f before it returns. Not on the data path.
func SetLog(level LogLevel, f func(LogLine)) error {
	theLog.mu.Lock()
	defer theLog.mu.Unlock()
	if level != LogOff && f == nil {
		return errorf(ErrInvalid, "f: nil")
	}
	var next *logger
	var c *C.struct_go_log
	if level != LogOff {
		var err error
		if next, err = newLogger(f); err != nil {
			return err
		}
		c = next.c
	}
	if err := call(func() C.int32_t { return C.go_set_log(C.uint32_t(level), c) }); err != nil {
		if next != nil {
			next.end()
		}
		return err
	}
	if theLog.current != nil {
		theLog.current.end()
	}
	theLog.current = next
	return nil
}

func newLogger(f func(LogLine)) (*logger, error) {
	ends, err := syscall.Socketpair(syscall.AF_UNIX,
		syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, errorf(ErrUnexpected, "cannot make the log's socket: "+err.Error())
	}
	c := (*C.struct_go_log)(C.calloc(1, C.sizeof_struct_go_log))
	c.socket = C.int(ends[1])
	l := &logger{c, os.NewFile(uintptr(ends[0]), "vdset log"), make(chan struct{})}
	go l.read(f)
	return l, nil
}

func (l *logger) read(f func(LogLine)) {
	defer close(l.ended)
	packet := make([]byte, 4096)
	for {
		n, err := l.reader.Read(packet)
		if err != nil || n < int(C.sizeof_struct_go_log_head) {
			return
		}
		head := (*C.struct_go_log_head)(unsafe.Pointer(&packet[0]))
		f(LogLine{LogLevel(head.level), string(packet[C.sizeof_struct_go_log_head:n]),
			int(head.lost)})
	}
}

// end tells what is left. The library does not use the socket any more.
func (l *logger) end() {
	syscall.Close(int(l.c.socket))
	<-l.ended
	l.reader.Close()
	C.free(unsafe.Pointer(l.c))
}
