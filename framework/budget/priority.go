package budget

import "context"

type yielding struct{}

// Yielding marks calls that leave a part of the budget to others: those of a
// backfill, which must not use up what live polls need.
func Yielding(ctx context.Context) context.Context {
	return context.WithValue(ctx, yielding{}, true)
}

func yields(ctx context.Context) bool { return ctx.Value(yielding{}) != nil }
