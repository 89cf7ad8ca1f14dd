package cli

import "bytes"

// Plain returns what a terminal gets of parts that are written one by one.
func Plain(parts ...string) string {
	var b bytes.Buffer
	w := &plainWriter{out: &b}
	for _, p := range parts {
		_, _ = w.Write([]byte(p))
	}
	w.flush()
	return b.String()
}
