//go:build go1.21

package vdset

import "context"

// afterDone calls f when ctx is done. After stop has returned f does not run, and will not.
func afterDone(ctx context.Context, f func()) (stop func()) {
	ended := make(chan struct{})
	release := context.AfterFunc(ctx, func() {
		defer close(ended)
		f()
	})
	return func() {
		if !release() {
			<-ended
		}
	}
}
