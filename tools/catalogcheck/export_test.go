package catalogcheck

import "context"

// ReadAgain returns the paths of the packages that a check with this cache would
// read from source.
func ReadAgain(ctx context.Context, dir, cacheDir string, patterns ...string) ([]string, error) {
	l, err := load(ctx, dir, patterns, nil, openMemory(cacheDir, dir, patterns), false)
	if err != nil {
		return nil, err
	}
	var read []string
	for _, p := range l.sources {
		if l.read[p.PkgPath] != nil {
			read = append(read, p.PkgPath)
		}
	}
	return read, nil
}
