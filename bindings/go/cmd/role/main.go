// Role plays one role of a mixed run in Go: tests/mixed/README.md says which and how.
//
//	role server|primary|secondary SET ROUNDS
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"vdset"
)

const (
	transfer = 65536
	window   = 4
	patience = 20 * time.Second
)

// check ends the program at once: the others learn it from the library.
func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func fail(format string, words ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", words...)
	os.Exit(1)
}

// soon is the context of one wait.
func soon() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func size(device, k int) int { return 512 * (1 + (k*5+device)%128) }

func byteAt(device, k, i int) byte { return byte(k*31 + i*7 + i/256 + device*101) }

func fill(bytes []byte, device, k int) {
	for i := range bytes {
		bytes[i] = byteAt(device, k, i)
	}
}

func verify(bytes []byte, device, k int) {
	for i := range bytes {
		if bytes[i] != byteAt(device, k, i) {
			fail("device %d, command %d: byte %d is %d, not %d", device, k, i, bytes[i],
				byteAt(device, k, i))
		}
	}
}

// work does what a command asks for with its buffer.
func work(code vdset.CommandCode, bytes []byte, device, k int) {
	if code == vdset.CommandWrite {
		verify(bytes, device, k)
	} else {
		fill(bytes, device, k)
	}
}

func codeOf(k, rounds int) vdset.CommandCode {
	if k < rounds {
		return vdset.CommandWrite
	}
	return vdset.CommandRead
}

func nameOf(set string, device int) string {
	if device == 0 {
		return set
	}
	return set + "-1"
}

func main() {
	if len(os.Args) != 4 {
		fail("usage: role server|primary|secondary SET ROUNDS")
	}
	set := os.Args[2]
	rounds, err := strconv.Atoi(os.Args[3])
	if err != nil || rounds < 1 {
		fail("ROUNDS is a number from 1, not '%s'", os.Args[3])
	}
	count := 0
	switch os.Args[1] {
	case "server":
		count = serve(set, rounds)
	case "primary":
		count = primary(set, rounds)
	case "secondary":
		count = secondary(set, rounds)
	default:
		fail("no role '%s'", os.Args[1])
	}
	fmt.Println("ok", count)
}

// ---- Server ----

func serve(set string, rounds int) int {
	server, err := vdset.OpenServer(set, nil)
	check(err)
	wish, err := server.GetConfiguration()
	check(err)
	if wish.DeviceCount != 2 || wish.Features != vdset.LikePipe {
		fail("the wish is for %d devices with features %#x", wish.DeviceCount, wish.Features)
	}
	check(server.BeginConfiguration(vdset.BaseConfiguration{
		Features:   vdset.WriteMedia | vdset.ReadMedia,
		BlockBytes: 512, MaxTransferBytes: transfer,
	}))
	check(server.RequestBuffers(transfer, 0, window))
	check(server.EndConfiguration())
	var devices [2]*vdset.ServerDevice
	for d := range devices {
		devices[d], err = server.OpenDevice(nameOf(set, d))
		check(err)
	}
	count := 0
	for d, device := range devices {
		count += drive(server, device, d, rounds)
	}
	ctx, cancel := soon()
	defer cancel()
	if _, err := server.NextCompletion(ctx); !errors.Is(err, vdset.ErrClose) {
		fail("at the end: %v", err)
	}
	check(server.Close())
	return count
}

// drive sends a device its commands, up to `window` at a time, and closes it.
func drive(server *vdset.Server, device *vdset.ServerDevice, d, rounds int) int {
	numbers := map[*vdset.ServerCommand]int{}
	var idle []*vdset.ServerCommand
	for i := 0; i < window; i++ {
		buffer, err := server.AllocateBuffer(transfer, 0)
		check(err)
		idle = append(idle, &vdset.ServerCommand{Buffer: buffer})
	}
	sent, completed := 0, 0
	for completed < 2*rounds {
		for len(idle) > 0 && sent < 2*rounds {
			command := idle[0]
			idle = idle[1:]
			send(device, command, d, sent, rounds)
			numbers[command] = sent
			sent++
		}
		command := reap(server, d, numbers)
		completed++
		idle = append(idle, command)
	}
	for _, command := range idle {
		check(command.Buffer.Free())
	}
	check(device.Close())
	return completed
}

func send(device *vdset.ServerDevice, command *vdset.ServerCommand, d, k, rounds int) {
	command.Code, command.Size = codeOf(k, rounds), size(d, k)
	bytes := command.Buffer.Bytes()
	if command.Code == vdset.CommandWrite {
		fill(bytes[:command.Size], d, k)
	} else {
		for i := range bytes {
			bytes[i] = 0
		}
	}
	check(device.SendCommand(command))
}

func reap(server *vdset.Server, d int, numbers map[*vdset.ServerCommand]int) *vdset.ServerCommand {
	ctx, cancel := soon()
	defer cancel()
	command, err := server.NextCompletion(ctx)
	check(err)
	k, known := numbers[command]
	if !known || command.CompletionCode != vdset.Success || command.BytesTransferred != command.Size {
		fail("device %d, command %d: code %d, %d bytes of %d", d, k, command.CompletionCode,
			command.BytesTransferred, command.Size)
	}
	delete(numbers, command)
	if command.Code == vdset.CommandRead {
		verify(command.Buffer.Bytes()[:command.Size], d, k)
	}
	return command
}

// ---- Clients ----

// client is a primary or secondary, with its end of the socket that joins them.
type client struct {
	set    *vdset.Set
	name   string
	rounds int
	socket *os.File
	lines  *bufio.Reader
	count  int // Buffers that it checked or filled itself.
}

func newClient(name string, rounds int) *client {
	return &client{name: name, rounds: rounds, socket: os.Stdin, lines: bufio.NewReader(os.Stdin)}
}

func (c *client) say(format string, words ...any) {
	_, err := fmt.Fprintf(c.socket, format+"\n", words...)
	check(err)
}

func (c *client) hear() string {
	line, err := c.lines.ReadString('\n')
	check(err)
	return strings.TrimSuffix(line, "\n")
}

func (c *client) expect(want string) {
	if line := c.hear(); line != want {
		fail("heard '%s', not '%s'", line, want)
	}
}

func (c *client) open(device int) *vdset.Device {
	ctx, cancel := soon()
	defer cancel()
	_, err := c.set.GetConfiguration(ctx)
	check(err)
	out, err := c.set.OpenDevice(nameOf(c.name, device))
	check(err)
	return out
}

func primary(name string, rounds int) int {
	c := newClient(name, rounds)
	var err error
	c.set, err = vdset.Create(name, vdset.Config{DeviceCount: 2}, nil)
	check(err)
	fmt.Println("ready")
	device := c.open(0)
	c.say("go")
	c.lead(device, 0)
	c.follow()
	check(c.set.Close())
	return c.count
}

func secondary(name string, rounds int) int {
	c := newClient(name, rounds)
	c.expect("go")
	var err error
	c.set, err = vdset.OpenInSecondary(name, nil)
	check(err)
	device := c.open(1)
	c.follow()
	c.lead(device, 1)
	check(c.set.Close())
	return c.count
}

// lead gets a device's commands, and passes every second buffer on.
func (c *client) lead(device *vdset.Device, d int) {
	k := 0
	for ; ; k++ {
		ctx, cancel := soon()
		command, err := device.GetCommand(ctx)
		cancel()
		if errors.Is(err, vdset.ErrClose) {
			break
		}
		check(err)
		if command.Code() != codeOf(k, c.rounds) || command.Size() != size(d, k) {
			fail("device %d, command %d: code %d, size %d", d, k, command.Code(), command.Size())
		}
		if k%2 == 0 {
			work(command.Code(), command.Buffer(), d, k)
			c.count++
		} else {
			handle, err := c.set.GetBufferHandle(command.Buffer())
			check(err)
			c.say("buffer %d %d %d %d %d", uint32(handle), d, command.Code(), k, command.Size())
			c.expect("done")
		}
		check(command.Complete(vdset.Success, command.Size()))
	}
	if k != 2*c.rounds {
		fail("device %d: %d commands, not %d", d, k, 2*c.rounds)
	}
	c.say("end")
}

// follow works on the buffers that the other client passes.
func (c *client) follow() {
	for line := c.hear(); line != "end"; line = c.hear() {
		var handle uint32
		var d, k, bytes int
		var code vdset.CommandCode
		_, err := fmt.Sscanf(line, "buffer %d %d %d %d %d", &handle, &d, &code, &k, &bytes)
		if err != nil || bytes != size(d, k) {
			fail("heard '%s'", line)
		}
		_, err = c.set.MapBufferHandle(vdset.Handle(handle ^ 1<<31))
		if !errors.Is(err, vdset.ErrInvalid) {
			fail("a forged handle: %v", err)
		}
		buffer, err := c.set.MapBufferHandle(vdset.Handle(handle))
		check(err)
		if len(buffer) < bytes {
			fail("%d bytes are passed, the buffer has %d", bytes, len(buffer))
		}
		work(code, buffer[:bytes], d, k)
		c.count++
		c.say("done")
	}
}
