package vdset

import (
	"context"
	"errors"
	"math/rand"
	"os"
	"strconv"
	"testing"
	"time"
)

// Contexts end at every moment of a wait, while commands and completions come at every other: none
// is lost, and no wait sleeps on. VDSET_TEST_DEEP makes it longer; VDSET_TEST_WAKES is a number of
// commands, with fewer pauses between them.
func TestNoWakeIsLost(t *testing.T) {
	total := 2000
	if deep, _ := strconv.Atoi(os.Getenv("VDSET_TEST_DEEP")); deep > 0 {
		total *= 20 * deep
	}
	odds := 4
	if wakes, _ := strconv.Atoi(os.Getenv("VDSET_TEST_WAKES")); wakes > 0 {
		total, odds = wakes, 100
	}
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	r := newRig(t, plan{devices: 1, buffers: 2})
	// again calls with contexts that end too early now and then, until one is not.
	again := func(random *rand.Rand, call func(context.Context) error) error {
		for {
			timeout := patience
			if random.Intn(2) == 0 {
				timeout = time.Duration(random.Intn(200)) * time.Microsecond
			}
			ctx, cancel := context.WithTimeout(background, timeout)
			err := call(ctx)
			cancel()
			if timeout == patience || !errors.Is(err, context.DeadlineExceeded) {
				return err
			}
		}
	}
	dally := func(random *rand.Rand) {
		if random.Intn(odds) == 0 {
			time.Sleep(time.Duration(random.Intn(100)) * time.Microsecond)
		}
	}
	end := make(chan error, 1)
	go func() {
		random := rand.New(rand.NewSource(seed + 1))
		for {
			var command Command
			err := again(random, func(ctx context.Context) (err error) {
				command, err = r.devices[0].GetCommand(ctx)
				return err
			})
			dally(random)
			if err == nil {
				err = command.Complete(Success, command.Size())
			}
			if err != nil {
				end <- err
				return
			}
		}
	}()
	random := rand.New(rand.NewSource(seed))
	idle := []*ServerCommand{r.command(CommandWrite), r.command(CommandWrite)}
	for k := 0; k < total; k++ {
		for len(idle) > 0 {
			must(t, r.engines[0].SendCommand(idle[0]))
			idle = idle[1:]
		}
		must(t, again(random, func(ctx context.Context) error {
			done, err := r.server.NextCompletion(ctx)
			if err == nil {
				idle = append(idle, done)
			}
			return err
		}))
		dally(random)
	}
	for len(idle) < 2 {
		done, err := r.server.NextCompletion(soon(t))
		must(t, err)
		idle = append(idle, done)
	}
	must(t, r.engines[0].Close())
	wantCode(t, <-end, ErrClose)
	r.engines = nil
	r.finish()
}
