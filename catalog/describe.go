package catalog

import "sync"

// Description is a manifest that was written by go generate, with the texts of
// the source comments in it.
type Description struct {
	connector string
	digest    string
	json      string
}

// described holds the generated manifests of the program by connector key. It
// is filled while packages initialise and only read afterwards.
var described struct {
	sync.Mutex
	byKey map[string][]Description
}

// Describe records the generated manifest of a connector. Only catalog_gen.go
// calls it, as the value of a package-level variable; authors never do.
func Describe(connector, digest, manifest string) Description {
	d := Description{connector, digest, manifest}
	described.Lock()
	defer described.Unlock()
	if described.byKey == nil {
		described.byKey = map[string][]Description{}
	}
	described.byKey[connector] = append(described.byKey[connector], d)
	return d
}

// Described returns the manifest of c with package and descriptions filled in
// from the generated manifest. ok is false when no generated manifest says the
// same as c: either none is linked in, or it is out of date.
func Described(c Connector) (m Manifest, ok bool) {
	plain := c.Manifest()
	described.Lock()
	defer described.Unlock()
	for _, d := range described.byKey[c.Key] {
		generated, err := ParseManifest([]byte(d.json))
		if err == nil && generated.Digest() == d.digest && generated.bare().Digest() == plain.Digest() {
			return generated, true
		}
	}
	return plain, false
}

// generatedFor reports whether any generated manifest is linked in for key.
func generatedFor(key string) bool {
	described.Lock()
	defer described.Unlock()
	return len(described.byKey[key]) > 0
}
