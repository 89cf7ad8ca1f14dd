package framework

import (
	"context"

	"github.com/weirhq/weir/framework/internal/ending"
)

// Ending returns a channel that closes when the page that ctx was given to is the
// last one for now: the process stops, or the connection was changed or deleted. The
// page may finish; what only waits in it, such as the time until a request is tried
// again, ends here. Outside a page the channel never closes.
func Ending(ctx context.Context) <-chan struct{} { return ending.Of(ctx) }
