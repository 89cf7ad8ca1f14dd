package runtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/weirhq/weir/framework"
	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/scheduler"
	"github.com/weirhq/weir/framework/store"
)

// across is an error as it comes back from another node.
func across(t *testing.T, err error) error {
	t.Helper()
	raw, encoded := json.Marshal(replyOf(nil, err))
	require.NoError(t, encoded)
	_, err = answered[nothing](raw)
	return err
}

func TestAnErrorOfAnotherNodeIsAnsweredAsOneOfThisNode(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		fmt.Errorf("cancel: %w", scheduler.ErrUnknownBackfill), fmt.Errorf("%w: it reads no range", scheduler.ErrResetTo),
		fmt.Errorf("%w: from is not before to", scheduler.ErrBackfillSpec), fmt.Errorf("connection con_1: %w", store.ErrNotFound),
		fmt.Errorf("save: %w", store.ErrFenced), fmt.Errorf("save: %w", store.ErrUnavailable), fmt.Errorf("save: %w", store.ErrDiskLow),
		fmt.Errorf("move: %w", store.ErrConflict), fmt.Errorf("read: %w", framework.ErrCursorUnreadable),
		fmt.Errorf("reset: %w", &framework.CursorError{Reason: errors.New("it is a number")}),
		&api.ConflictError{Err: scheduler.ErrPaused}, &api.ConflictError{Err: scheduler.ErrPaused, Busy: true}, errors.New("something else"),
	} {
		got := across(t, err)
		require.Error(t, got)
		want, p := api.ProblemOf(err), api.ProblemOf(got)
		require.Equal(t, []any{want.Status, want.Code}, []any{p.Status, p.Code}, err.Error())
		require.Contains(t, want.Detail, p.Detail)
		for _, known := range []error{scheduler.ErrUnknownBackfill, scheduler.ErrResetTo, scheduler.ErrBackfillSpec} {
			require.Equal(t, errors.Is(err, known), errors.Is(got, known), err.Error())
		}
	}
	unfit, ok := errors.AsType[*framework.CursorError](across(t, fmt.Errorf("reset: %w", &framework.CursorError{Reason: errors.New("it is a number")})))
	require.True(t, ok)
	require.EqualError(t, unfit.Reason, "it is a number")
	// A kind that only a later version knows.
	_, err := answered[nothing]([]byte(`{"error":"it rains","kind":"weather"}`))
	require.EqualError(t, err, "it rains")
}
