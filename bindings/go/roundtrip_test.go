package vdset

import (
	"bytes"
	"errors"
	"runtime"
	"sync"
	"testing"
)

func TestBackupAndRestore(t *testing.T) {
	const rounds = 200
	r := newRig(t, plan{devices: 2, buffers: 4, features: WriteMedia | ReadMedia})
	ctx := soon(t)
	var group sync.WaitGroup
	for i, device := range r.devices {
		group.Add(1)
		go func(i int, device *Device) {
			defer group.Done()
			k := 0
			err := device.ForEach(ctx, func(command Command) error {
				if command.Code() == CommandRead {
					fill(command.Buffer(), i+k)
				} else if !filled(command.Buffer(), i+k) {
					t.Errorf("device %d: wrong bytes in command %d", i, k)
				}
				k++
				return command.Complete(Success, command.Size())
			})
			if err != nil || k != 2*rounds {
				t.Errorf("device %d: %d commands, %v", i, k, err)
			}
		}(i, device)
	}
	for i, engine := range r.engines {
		command := r.command(CommandWrite)
		for k := 0; k < 2*rounds; k++ {
			if k == rounds {
				command.Code = CommandRead
			}
			if command.Code == CommandWrite {
				fill(command.Buffer.Bytes(), i+k)
			}
			must(t, engine.SendCommand(command))
			done, err := r.server.NextCompletion(ctx)
			must(t, err)
			if done != command || done.CompletionCode != Success || done.BytesTransferred != bufferSize {
				t.Fatalf("command %d: %v, %d bytes", k, done.CompletionCode, done.BytesTransferred)
			}
			if command.Code == CommandRead && !filled(command.Buffer.Bytes(), i+k) {
				t.Fatalf("wrong bytes in answer %d", k)
			}
		}
		must(t, engine.Close())
	}
	group.Wait()
	r.engines = nil
	r.finish()
}

func TestACompletedCommandIsDead(t *testing.T) {
	r := newRig(t, plan{devices: 1, config: Config{PrefixZoneBytes: 512}})
	sent := r.command(CommandWrite)
	fill(sent.Buffer.Bytes(), 1)
	must(t, r.engines[0].SendCommand(sent))
	if sent.Buffer.Bytes() != nil {
		t.Error("the server still has the buffer of a command that was sent")
	}
	wantCode(t, r.engines[0].SendCommand(sent), ErrInvalid)
	wantCode(t, sent.Buffer.Free(), ErrInvalid)

	first, err := r.devices[0].GetCommand(soon(t))
	must(t, err)
	again := first
	if !filled(first.Buffer(), 1) || len(first.Prefix()) != 512 || !again.Alive() {
		t.Fatal("a fetched command has its buffer and prefix")
	}
	wantCode(t, first.Complete(Success, -1), ErrInvalid)
	must(t, first.Complete(Success, bufferSize))
	for _, dead := range []Command{first, again, {}} {
		if dead.Buffer() != nil || dead.Prefix() != nil || dead.Alive() {
			t.Error("a dead command has its buffer")
		}
		wantCode(t, dead.Complete(Success, 0), ErrInvalid)
	}
	// The library uses the memory of the struct again: the old ones stay dead.
	for lap := 0; lap < 64; lap++ {
		_, err = r.server.NextCompletion(soon(t))
		must(t, err)
		must(t, r.engines[0].SendCommand(sent))
		command, err := r.devices[0].GetCommand(soon(t))
		must(t, err)
		if first.Alive() || first.Buffer() != nil || command.Buffer() == nil {
			t.Fatal("a completed command came back to life")
		}
		wantCode(t, again.Complete(Success, 0), ErrInvalid)
		must(t, command.Complete(Success, bufferSize))
	}
	_, err = r.server.NextCompletion(soon(t))
	must(t, err)
	if !filled(sent.Buffer.Bytes(), 1) {
		t.Error("the buffer is the server's again")
	}
	must(t, sent.Buffer.Free())
	if sent.Buffer.Bytes() != nil {
		t.Error("a freed buffer has bytes")
	}
	wantCode(t, sent.Buffer.Free(), ErrInvalid)
	r.finish()
}

func TestClosedObjectsHaveNoMemory(t *testing.T) {
	r := newRig(t, plan{devices: 1})
	sent := r.command(CommandWrite)
	calls := 0
	sent.Done = func(done *ServerCommand) {
		calls++
		if done.CompletionCode != OperationAborted || done.Buffer.Bytes() != nil {
			t.Errorf("after Close: %d", done.CompletionCode)
		}
	}
	must(t, r.engines[0].SendCommand(sent))
	command, err := r.devices[0].GetCommand(soon(t))
	must(t, err)
	wantCode(t, r.set.Close(), ErrOpen)
	if command.Alive() || command.Buffer() != nil || command.Prefix() != nil {
		t.Error("a command outlived its set")
	}
	wantCode(t, command.Complete(Success, 0), ErrNotOpen)
	wantCode(t, r.devices[0].Interrupt(), ErrNotOpen)
	wantCode(t, r.set.Close(), ErrNotOpen)
	_, err = r.set.GetConfiguration(soon(t))
	wantCode(t, err, ErrNotOpen)
	_, err = r.set.MapBufferHandle(command.Handle())
	wantCode(t, err, ErrNotOpen)
	r.server.Close()
	if calls != 1 {
		t.Errorf("Done was called %d times", calls)
	}
	wantCode(t, r.server.Close(), ErrNotOpen)
	wantCode(t, r.engines[0].SendCommand(sent), ErrNotOpen)
}

func TestCallbacks(t *testing.T) {
	const total = 300
	r := newRig(t, plan{devices: 1, buffers: 4})
	left, calls := total, 0
	for i := 0; i < 4; i++ {
		command := r.command(CommandWrite)
		command.Done = func(done *ServerCommand) {
			calls++
			if left == 0 {
				must(t, done.Buffer.Free())
				if calls == total {
					must(t, r.engines[0].Close())
					wantCode(t, r.engines[0].Close(), ErrClose)
				}
				return
			}
			left--
			must(t, r.engines[0].SendCommand(done))
		}
		left--
		must(t, r.engines[0].SendCommand(command))
	}
	end := make(chan error)
	go func() {
		end <- r.devices[0].ForEach(soon(t), func(command Command) error {
			return command.Complete(Success, command.Size())
		})
	}()
	must(t, r.server.RunCompletionAgent(soon(t)))
	must(t, <-end)
	if calls != total {
		t.Errorf("%d callbacks of %d", calls, total)
	}
	must(t, r.server.Close())
	must(t, r.set.Close())
}

// Nobody reaps beside an agent, not even while it is in a Done; and what could not be sent says how
// VDI would have ended it.
func TestOneAgent(t *testing.T) {
	r := newRig(t, plan{devices: 1})
	command := r.command(CommandWrite)
	command.Done = func(done *ServerCommand) {
		wantCode(t, r.server.RunCompletionAgent(background), ErrBusy)
		_, err := r.server.TryNextCompletion()
		wantCode(t, err, ErrBusy)
		must(t, r.engines[0].Close())
	}
	must(t, r.engines[0].SendCommand(command))
	end := make(chan error)
	go func() { end <- r.server.RunCompletionAgent(soon(t)) }()
	fetched, err := r.devices[0].GetCommand(soon(t))
	must(t, err)
	must(t, fetched.Complete(Success, fetched.Size()))
	must(t, <-end)
	refused := &ServerCommand{Code: CommandFlush}
	wantCode(t, r.engines[0].SendCommand(refused), ErrProtocol)
	if refused.CompletionCode != InvalidHandle {
		t.Errorf("the refused command ends with %d", refused.CompletionCode)
	}
	_, err = r.devices[0].GetCommand(soon(t))
	wantCode(t, err, ErrClose)
	must(t, r.server.Close())
	must(t, r.set.Close())
}

func describe(t *testing.T, set *Set, buffer []byte) BufferInfo {
	info, err := set.DescribeBuffer(buffer)
	must(t, err)
	return info
}

func TestHandles(t *testing.T) {
	r := newRig(t, plan{devices: 2, buffers: 2})
	helper, err := OpenInSecondary(r.name, &JoinOptions{Directory: r.directory})
	must(t, err)
	sent := r.command(CommandWrite)
	fill(sent.Buffer.Bytes(), 3)
	must(t, r.engines[0].SendCommand(sent))
	command, err := r.devices[0].GetCommand(soon(t))
	must(t, err)
	handle, err := r.set.GetBufferHandle(command.Buffer())
	must(t, err)
	if handle == 0 || handle != command.Handle() {
		t.Fatalf("handle %v, the command says %v", handle, command.Handle())
	}
	seen, err := helper.MapBufferHandle(handle)
	must(t, err)
	if !filled(seen, 3) || &seen[0] == &command.Buffer()[0] {
		t.Error("the helper sees other bytes, or not its own mapping")
	}
	seen[0]++
	if command.Buffer()[0] != seen[0] {
		t.Error("not the same memory")
	}
	for _, forged := range []Handle{0, handle ^ 1<<31, handle ^ 1<<12} {
		_, err = helper.MapBufferHandle(forged)
		wantCode(t, err, ErrInvalid)
		if words, err := helper.ExplainHandle(forged); err == nil || words == "" {
			t.Errorf("%v: %q, %v", forged, words, err)
		}
	}
	number := describe(t, helper, seen)
	if describe(t, r.set, command.Buffer()) != number || number.DataBytes != len(seen) ||
		len(seen) != bufferSize || number.PrefixBytes != 0 {
		t.Errorf("%+v", number)
	}
	if info, err := sent.Buffer.Describe(); err != nil || info != number {
		t.Errorf("%+v for the server, %v", info, err)
	}
	_, err = helper.DescribeBuffer(seen[1:])
	wantCode(t, err, ErrInvalid)
	_, err = helper.DescribeBuffer(nil)
	wantCode(t, err, ErrInvalid)
	_, err = r.set.GetBufferHandle(command.Buffer()[1:])
	wantCode(t, err, ErrInvalid)
	_, err = r.set.GetBufferHandle(make([]byte, 8))
	wantCode(t, err, ErrInvalid)
	_, err = r.set.GetBufferHandle(nil)
	wantCode(t, err, ErrInvalid)
	same, err := sent.Buffer.Handle()
	must(t, err)
	mine, err := r.server.MapBufferHandle(handle)
	must(t, err)
	if same != handle || !r.server.IsSharedBuffer(mine) || r.server.IsSharedBuffer([]byte{1}) {
		t.Error("the server's view differs")
	}
	must(t, command.Complete(Success, bufferSize))
	_, err = r.server.NextCompletion(soon(t))
	must(t, err)
	_, err = helper.MapBufferHandle(handle)
	wantCode(t, err, ErrInvalid) // The lease is over.
	must(t, helper.Close())
	r.finish()
}

func TestSecondaryLeadsADevice(t *testing.T) {
	r := created(t, plan{devices: 1})
	_, err := OpenInSecondary(r.name, &JoinOptions{Directory: r.directory})
	wantCode(t, err, ErrProtocol) // Not configured yet.
	r.configure(plan{devices: 1})
	engine, err := r.server.OpenDevice(r.name)
	must(t, err)
	helper, err := OpenInSecondary(r.name, &JoinOptions{Directory: r.directory})
	must(t, err)
	device, err := helper.OpenDevice(r.name)
	must(t, err)
	_, err = r.set.OpenDevice(r.name)
	wantCode(t, err, ErrOpen)
	sent := r.command(CommandWrite)
	must(t, engine.SendCommand(sent))
	command, err := device.GetCommand(soon(t))
	must(t, err)
	if command.Device().Name() != r.name || engine.Name() != r.name {
		t.Error("names")
	}
	must(t, command.Complete(DiskFull, 5))
	done, err := r.server.NextCompletion(soon(t))
	must(t, err)
	if done.CompletionCode != DiskFull || done.BytesTransferred != 5 {
		t.Errorf("%d, %d bytes", done.CompletionCode, done.BytesTransferred)
	}
	wantCode(t, engine.SendCommand(sent), ErrIOError)
	clear := &ServerCommand{Code: CommandClearError}
	must(t, engine.SendCommand(clear))
	command, err = device.GetCommand(soon(t))
	must(t, err)
	if command.Code() != CommandClearError || command.Buffer() != nil || command.Handle() != 0 {
		t.Error("ClearError has no buffer")
	}
	must(t, command.Complete(Success, 0))
	_, err = r.server.NextCompletion(soon(t))
	must(t, err)
	must(t, engine.Close())
	_, err = device.TryGetCommand()
	wantCode(t, err, ErrClose)
	must(t, helper.Close())
	must(t, r.server.Close())
	must(t, r.set.Close())
}

func TestPositions(t *testing.T) {
	r := newRig(t, plan{devices: 1, config: Config{Features: LikeDisk}})
	sent := r.command(CommandWrite)
	sent.Position = 1 << 40
	must(t, r.engines[0].SendCommand(sent))
	command, err := r.devices[0].GetCommand(soon(t))
	must(t, err)
	if command.Position() != 1<<40 || command.Redelivered() {
		t.Errorf("position %d", command.Position())
	}
	must(t, command.Complete(Success, bufferSize))
	_, err = r.server.NextCompletion(soon(t))
	must(t, err)
	r.finish()

	r = newRig(t, plan{devices: 1, config: Config{Features: LikeTape}})
	asked := &ServerCommand{Code: CommandGetPosition}
	must(t, r.engines[0].SendCommand(asked))
	command, err = r.devices[0].GetCommand(soon(t))
	must(t, err)
	must(t, command.CompleteAt(Success, 1<<41))
	done, err := r.server.NextCompletion(soon(t))
	must(t, err)
	if done.OutPosition != 1<<41 {
		t.Errorf("position %d", done.OutPosition)
	}
	r.finish()
}

// Many goroutines complete, out of order, while one fetches and another sends.
func TestManyUnderWay(t *testing.T) {
	const total = 2000
	r := newRig(t, plan{devices: 1, buffers: 16})
	ctx := soon(t)
	queue := make(chan Command)
	var workers sync.WaitGroup
	for i := 0; i < 4; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for command := range queue {
				if bytes.Count(command.Buffer()[:64], command.Buffer()[:1]) != 64 {
					t.Error("wrong bytes")
				}
				if err := command.Complete(Success, command.Size()); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	go func() {
		defer close(queue)
		err := r.devices[0].ForEach(ctx, func(command Command) error {
			queue <- command
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}()
	idle := make(chan *ServerCommand, 16)
	for i := 0; i < 16; i++ {
		idle <- r.command(CommandWrite)
	}
	go func() {
		for k := 0; k < total; k++ {
			command := <-idle
			copy(command.Buffer.Bytes(), bytes.Repeat([]byte{byte(k)}, 64))
			err := r.engines[0].SendCommand(command)
			// The oldest one holds up the ring.
			for ; errors.Is(err, ErrQueueFull); err = r.engines[0].SendCommand(command) {
				runtime.Gosched()
			}
			if err != nil {
				t.Error(err)
			}
		}
	}()
	for k := 0; k < total; k++ {
		done, err := r.server.NextCompletion(ctx)
		must(t, err)
		idle <- done
	}
	must(t, r.engines[0].Close())
	workers.Wait()
	r.engines = nil
	r.finish()
}
