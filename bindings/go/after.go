//go:build !go1.21

package vdset

import "context"

// afterDone calls f when ctx is done. After stop has returned f does not run, and will not.
func afterDone(ctx context.Context, f func()) (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-ctx.Done():
			f()
		case <-quit:
		}
	}()
	return func() {
		close(quit)
		<-ended
	}
}
