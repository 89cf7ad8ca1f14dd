package webhook

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// snsHost is the form of the hosts of Amazon SNS.
var snsHost = regexp.MustCompile(`^sns\.[a-zA-Z0-9-]{3,}\.amazonaws\.com(\.cn)?$`)

// snsTolerance is how old a message may be: SNS gives up within an hour.
const snsTolerance = 24 * time.Hour

// snsMessage is a message as SNS posts it. All fields are text.
type snsMessage struct {
	Type, MessageId, TopicArn, Subject, Message, Timestamp, Token, SubscribeURL string
	SignatureVersion, Signature, SigningCertURL                                 string
	hasSubject                                                                  bool
}

func readSNS(body []byte) (snsMessage, error) {
	var fields map[string]json.RawMessage
	var m snsMessage
	if json.Unmarshal(body, &fields) != nil {
		return m, refuse("body is no message of Amazon SNS")
	}
	for name, to := range map[string]*string{
		"Type": &m.Type, "MessageId": &m.MessageId, "TopicArn": &m.TopicArn, "Subject": &m.Subject, "Message": &m.Message,
		"Timestamp": &m.Timestamp, "Token": &m.Token, "SubscribeURL": &m.SubscribeURL,
		"SignatureVersion": &m.SignatureVersion, "Signature": &m.Signature, "SigningCertURL": &m.SigningCertURL,
	} {
		raw, ok := fields[name]
		if !ok || string(raw) == "null" {
			continue
		}
		if json.Unmarshal(raw, to) != nil {
			return m, refuse("body is no message of Amazon SNS")
		}
		m.hasSubject = m.hasSubject || name == "Subject"
	}
	return m, nil
}

// signed returns the text that SNS signs: names and values, sorted by name. A
// line ends a value, so only the first of them may hold line breaks: else one
// signature would be good for several messages.
func (m snsMessage) signed() ([]byte, error) {
	fields := [][2]string{{"Message", m.Message}, {"MessageId", m.MessageId}}
	switch m.Type {
	case "Notification":
		if m.hasSubject {
			fields = append(fields, [2]string{"Subject", m.Subject})
		}
	case "SubscriptionConfirmation", "UnsubscribeConfirmation":
		fields = append(fields, [2]string{"SubscribeURL", m.SubscribeURL})
	default:
		return nil, refuse("message has an unknown type")
	}
	fields = append(fields, [2]string{"Timestamp", m.Timestamp})
	if m.Type != "Notification" {
		fields = append(fields, [2]string{"Token", m.Token})
	}
	fields = append(fields, [2]string{"TopicArn", m.TopicArn}, [2]string{"Type", m.Type})
	var b strings.Builder
	for i, f := range fields {
		if i > 0 && strings.Contains(f[1], "\n") {
			return nil, refuse("a field of the message holds a line break")
		}
		b.WriteString(f[0] + "\n" + f[1] + "\n")
	}
	return []byte(b.String()), nil
}

// sns makes the check of Amazon SNS. Everybody may have a topic that signs, so
// the topic is pinned by the setting.
func (b *builder) sns(setting string, topics []Secret) check {
	b.errs = append(b.errs, eachSecret(setting, topics, func(_ string, topic Secret) error {
		if parts := strings.Split(topic.Value, ":"); len(parts) < 6 || parts[0] != "arn" || parts[2] != "sns" {
			return errors.New(`is no ARN of a topic; write "arn:aws:sns:region:account:topic"`)
		}
		return nil
	}))
	certs := newCertKeys(b.config.Client, nil)
	certs.allowed = func(u *url.URL) bool { return snsHost.MatchString(u.Host) && strings.HasSuffix(u.Path, ".pem") }
	return func(now time.Time, r Request) error {
		m, err := readSNS(r.Body)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(topics, func(s Secret) bool { return sameText(s.Value, m.TopicArn) && (key{until: s.Until}).live(now) }) {
			return refuse("message is of another topic")
		}
		if err := checkTimestamp(m.Timestamp, "rfc3339", now, snsTolerance, DefaultTolerance); err != nil {
			return err
		}
		signed, err := m.signed()
		if err != nil {
			return err
		}
		algorithm, known := map[string]string{"1": "sha1", "2": "sha256"}[m.SignatureVersion]
		if !known {
			return refuse("signature has an unknown version")
		}
		public, err := certs.public(now, m.SigningCertURL)
		if err != nil {
			return err
		}
		k, err := publicKey(public, nil, algorithm, encodingOf("base64"))
		if err != nil {
			return refuse("sender's certificate has a key that cannot be used")
		}
		if _, err := base64.StdEncoding.DecodeString(m.Signature); err != nil || !k.prepare([][]byte{signed})(m.Signature) {
			return refuse("no signature matches")
		}
		return nil
	}
}

// confirmSNS confirms a subscription of a message that was verified.
func (v *Verifier) confirmSNS(ctx context.Context, f *fetcher, r Request) (Reply, error) {
	m, err := readSNS(r.Body)
	if err != nil {
		return Reply{}, err
	}
	c := certKeys{allowed: func(u *url.URL) bool { return snsHost.MatchString(u.Host) }}
	u, ok := c.pinned(m.SubscribeURL)
	if !ok {
		return Reply{}, refuse("address of the confirmation is not at the sender's host")
	}
	if _, err := f.get(ctx, m.SubscribeURL, []string{u.Host}); err != nil {
		return Reply{}, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	return Reply{Status: 200, ContentType: plainText, Body: []byte("confirmed\n")}, nil
}
