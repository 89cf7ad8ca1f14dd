package seal

import (
	"bytes"
	"crypto/hmac"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// maxDepth bounds the nesting of settings.
const maxDepth = 100

// Reseal seals every secret of a connection with the first key that was sealed
// with another one. document is JSON, and root names the member of it that holds
// the settings; "" is the document itself. The paths of what is in [ExtraMember]
// beside it begin with its name. Everything else stays byte for byte. n
// is how many were sealed anew. Those that do not open stay as they are; the error
// names the path of each, and the document is still good.
func (k *Keys) Reseal(connectionID string, document []byte, root string) (out []byte, n int, err error) {
	found, err := sealedTexts(document, root)
	if err != nil {
		return document, 0, err
	}
	var errs []error
	last := 0
	for _, text := range found {
		if k != nil && KeyID(text.value) == k.ID() {
			continue
		}
		sealed, err := k.again(connectionID, text)
		if err != nil {
			errs = append(errs, fmt.Errorf("setting %s: %w", text.path, err))
			continue
		}
		out = append(out, document[last:text.start]...)
		out = append(out, strconv.Quote(sealed)...)
		last = text.end
		n++
	}
	return append(out, document[last:]...), n, errors.Join(errs...)
}

// again seals a text anew, and opens it once more before it is believed.
func (k *Keys) again(connectionID string, text sealedText) (string, error) {
	secret, err := k.Open(connectionID, text.path, text.value)
	if err != nil {
		return "", err
	}
	sealed, err := k.Seal(connectionID, text.path, secret)
	if err != nil {
		return "", err
	}
	if again, err := k.Open(connectionID, text.path, sealed); err != nil || !hmac.Equal([]byte(again), []byte(secret)) {
		return "", ErrBroken
	}
	return sealed, nil
}

// Check opens every sealed secret of a connection, in a document as
// [Keys.Reseal] takes it. stale is how many were sealed with another key than the
// first; the error names the path of each that does not open.
func (k *Keys) Check(connectionID string, document []byte, root string) (sealed, stale int, err error) {
	found, err := sealedTexts(document, root)
	if err != nil {
		return 0, 0, err
	}
	var errs []error
	for _, text := range found {
		if KeyID(text.value) != k.ID() {
			stale++
		}
		if _, err := k.Open(connectionID, text.path, text.value); err != nil {
			errs = append(errs, fmt.Errorf("setting %s: %w", text.path, err))
		}
	}
	return len(found), stale, errors.Join(errs...)
}

// sealedText is a sealed text within a document, with its quotes at
// [start, end).
type sealedText struct {
	path, value string
	start, end  int
}

// sealedTexts finds the sealed texts of the settings in a JSON document.
func sealedTexts(document []byte, root string) ([]sealedText, error) {
	w := walk{document: document, decoder: json.NewDecoder(bytes.NewReader(document))}
	w.decoder.UseNumber()
	if err := w.value("", 0); err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	if _, err := w.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read settings: something follows them")
	}
	if root == "" {
		return w.found, nil
	}
	var below []sealedText
	for _, text := range w.found {
		path, ok := strings.CutPrefix(text.path, root+".")
		if ok || strings.HasPrefix(text.path, ExtraMember+".") {
			text.path = path
			below = append(below, text)
		}
	}
	return below, nil
}

type walk struct {
	document []byte
	decoder  *json.Decoder
	found    []sealedText
}

func (w *walk) value(path string, depth int) error {
	if depth > maxDepth {
		return errors.New("they are nested too deeply")
	}
	token, err := w.decoder.Token()
	if err != nil {
		return err
	}
	switch v := token.(type) {
	case json.Delim:
		return w.inside(path, v, depth)
	case string:
		end := int(w.decoder.InputOffset())
		// A sealed text needs no escapes; one that has some is not ours.
		if start := end - len(v) - 2; IsSealed(v) && start >= 0 && string(w.document[start:end]) == `"`+v+`"` {
			w.found = append(w.found, sealedText{path, v, start, end})
		}
	}
	return nil
}

// inside reads the rest of an object or a list.
func (w *walk) inside(path string, open json.Delim, depth int) error {
	for i := 0; w.decoder.More(); i++ {
		below := path + "[" + strconv.Itoa(i) + "]"
		if open == '{' {
			token, err := w.decoder.Token()
			if err != nil {
				return err
			}
			below, _ = token.(string)
			if path != "" {
				below = path + "." + below
			}
		}
		if err := w.value(below, depth+1); err != nil {
			return err
		}
	}
	_, err := w.decoder.Token()
	return err
}
