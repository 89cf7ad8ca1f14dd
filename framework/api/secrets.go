package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/weirhq/weir/framework/seal"
)

// Secrets seals what is kept of secrets anew.
type Secrets interface {
	// Rotate seals the secrets of some revisions after the given one with the key
	// that seals now. It fails with [seal.ErrNoKey].
	Rotate(ctx context.Context, afterID string, afterNumber int64) (seal.Rotated, error)
	// KeyID names the key that seals now, "" without one.
	KeyID() string
}

type rotatedRow struct {
	KeyID     string   `json:"key_id"`
	Revisions int      `json:"revisions"`
	Secrets   int      `json:"secrets"`
	Resealed  int      `json:"resealed"`
	Failed    []string `json:"failed"`
	// Next is where the next call goes on; null when all is done.
	Next *string `json:"next"`
}

// rotateSecrets does a part of a rotation: who calls it goes on with "next".
func (a *API) rotateSecrets(r *http.Request) (reply, error) {
	q := newQuery(r)
	afterID, afterNumber := "", int64(0)
	if place := q.token("page_token", 2); place != nil {
		var err error
		afterID = place[0]
		if afterNumber, err = strconv.ParseInt(place[1], 10, 64); err != nil {
			q.fault("page_token", "is no place of this list; take it from \"next\" of the last answer")
		}
	}
	if err := q.err(); err != nil {
		return reply{}, err
	}
	done, err := a.cfg.Secrets.Rotate(r.Context(), afterID, afterNumber)
	if errors.Is(err, seal.ErrNoKey) {
		return reply{}, newProblem(http.StatusConflict, "no_secret_key", seal.ErrNoKey.Error())
	}
	if err != nil {
		return reply{}, err
	}
	NoteAudit(r.Context(), "sealed "+strconv.Itoa(done.Resealed)+" secrets with key "+a.cfg.Secrets.KeyID())
	row := rotatedRow{a.cfg.Secrets.KeyID(), done.Revisions, done.Secrets, done.Resealed, done.Failed, nil}
	if row.Failed == nil {
		row.Failed = []string{}
	}
	if !done.Done {
		row.Next = pageToken(done.LastID, strconv.FormatInt(done.LastNumber, 10))
	}
	return ok(row)
}
