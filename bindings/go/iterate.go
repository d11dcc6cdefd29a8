package vdset

import "context"

// ForEach calls f with each command of the device until it is closed, which gives nil, until a wait
// fails, or until f fails; the error is returned. f completes the command, then or later.
func (d *Device) ForEach(ctx context.Context, f func(Command) error) error {
	for {
		command, err := d.GetCommand(ctx)
		if err == ErrClose {
			return nil
		}
		if err == nil {
			err = f(command)
		}
		if err != nil {
			return err
		}
	}
}
