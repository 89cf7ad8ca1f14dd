package webhook

import "errors"

// ErrUnverified is the one error of [Verifier.Verify]. Its text says nothing
// about what was wrong, since it may reach the sender.
var ErrUnverified = errors.New("delivery is not verified")

// refusal is an ErrUnverified that knows its reason.
type refusal struct{ reason string }

// Error returns the text of ErrUnverified: the reason is for the log alone.
func (*refusal) Error() string { return ErrUnverified.Error() }

// Is makes every refusal an ErrUnverified.
func (*refusal) Is(target error) bool { return target == ErrUnverified }

func refuse(reason string) error { return &refusal{reason} }

// ReasonOf returns why a delivery was refused, for the log, or "" when err is
// no refusal. It is one of a few fixed texts and holds nothing of the request.
func ReasonOf(err error) string {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r.reason
	}
	return ""
}
