// Package ending carries the news that a page's work is to end to who waits within it.
package ending

import "context"

type key struct{}

// With returns a context whose [Of] is done.
func With(ctx context.Context, done <-chan struct{}) context.Context {
	return context.WithValue(ctx, key{}, done)
}

// Of returns what [With] was given, or a channel that never closes.
func Of(ctx context.Context) <-chan struct{} {
	done, _ := ctx.Value(key{}).(<-chan struct{})
	return done
}
