package runtime

import (
	"context"
	"time"

	"github.com/weirhq/weir/framework/api"
	"github.com/weirhq/weir/framework/seal"
	"github.com/weirhq/weir/framework/store"
)

const (
	// auditAge and auditCount bound what is remembered of what people did.
	auditAge   = 365 * 24 * time.Hour
	auditCount = 100_000
	// auditEvery is how often it is trimmed.
	auditEvery = time.Hour
	// rotateAtOnce is how many revisions one call of a rotation looks at.
	rotateAtOnce = 100
)

// trimAudit removes old entries of the audit log until ctx ends. Every process
// does: what one has removed, others do not find.
func (r *Runtime) trimAudit(ctx context.Context) {
	ticker := time.NewTicker(auditEvery)
	defer ticker.Stop()
	for {
		for {
			n, err := r.store.TrimAudit(ctx, time.Now().Add(-auditAge), auditCount)
			if err != nil && ctx.Err() == nil {
				r.log.WarnContext(ctx, "old audit entries could not be removed", "err", err)
			}
			if err != nil || n < store.AuditTrimmed {
				break
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sealedSecrets are the secrets of connections that were made through the API.
type sealedSecrets struct{ runtime *Runtime }

var _ api.Secrets = sealedSecrets{}

// Rotate seals the secrets of some revisions with the key that seals now.
func (s sealedSecrets) Rotate(ctx context.Context, afterID string, afterNumber int64) (seal.Rotated, error) {
	return s.runtime.keys.Rotate(ctx, s.runtime.store, afterID, afterNumber, rotateAtOnce)
}

// KeyID names that key.
func (s sealedSecrets) KeyID() string { return s.runtime.keys.ID() }
