package webhook

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/weirhq/weir/catalog"
)

// AuthSetting is a setting that says how requests are verified: the name of a mode
// or preset, or a mapping with type and the other fields of an endpoint's
// declaration.
type AuthSetting struct{ Spec catalog.EndpointSpec }

// UnmarshalJSON accepts a name or a mapping.
func (a *AuthSetting) UnmarshalJSON(b []byte) error {
	var name string
	if json.Unmarshal(b, &name) == nil {
		a.Spec = catalog.EndpointSpec{Auth: catalog.Auth(name)}
		return nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(b, &members) != nil {
		return errors.New("must be the name of a mode, such as stripe, or a mapping")
	}
	// Inside of "auth:" the mode reads better as its type.
	if mode, ok := members["type"]; ok {
		if _, twice := members["auth"]; twice {
			return errors.New("has both type and auth, which are the same; keep one")
		}
		members["auth"] = mode
		delete(members, "type")
	}
	b, err := json.Marshal(members)
	if err != nil {
		return errors.New("cannot be read")
	}
	spec, err := catalog.ParseEndpoint(b)
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "decode endpoint: "))
	}
	a.Spec = spec
	return nil
}
