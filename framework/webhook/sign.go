package webhook

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/weirhq/weir/catalog"
)

// Sign returns the headers that make a delivery of body valid for an endpoint:
// what its sender would add. id is the sender's id of the delivery; it is set
// where the mode or the endpoint's DeliveryKey expects it in a header. It is
// for tests and for sending a delivery by hand.
func Sign(spec catalog.EndpointSpec, secret string, now time.Time, id string, body []byte) (http.Header, error) {
	v, err := New(spec, []string{secret})
	if err != nil {
		return nil, fmt.Errorf("sign delivery: %w", err)
	}
	h := http.Header{}
	for _, source := range v.keys {
		if source.header != "" && id != "" {
			h.Set(source.header, id)
			break
		}
	}
	switch spec.Auth {
	case catalog.AuthNone:
	case catalog.AuthBearer:
		h.Set("Authorization", "Bearer "+secret)
	case catalog.AuthBasic:
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(secret)))
	case catalog.AuthAPIKey:
		h.Set(spec.APIKeyHeader, secret)
	default:
		s, err := schemeOf(spec)
		if err != nil {
			return nil, fmt.Errorf("sign delivery: %w", err)
		}
		if err := s.sign(h, secret, now, id, body); err != nil {
			return nil, fmt.Errorf("sign delivery: %w", err)
		}
	}
	return h, nil
}

func (s *scheme) sign(h http.Header, secret string, now time.Time, id string, body []byte) error {
	key, err := s.key(secret)
	if err != nil {
		return err
	}
	set := s.sets[0]
	if set.id != "" {
		if id == "" {
			return errors.New("the scheme signs the delivery's id; give one")
		}
		h.Set(set.id, id)
	}
	timestamp := strconv.FormatInt(now.Unix(), 10)
	if set.timestamp != "" {
		h.Set(set.timestamp, timestamp)
	}
	signature := s.encode(s.digest(key, timestamp, id, body))
	switch s.form {
	case formPairs:
		signature = s.timeKey + "=" + timestamp + "," + s.version + "=" + signature
	case formWords:
		signature = s.version + "," + signature
	default:
		signature = s.prefix + signature
	}
	h.Set(set.signature, signature)
	return nil
}
