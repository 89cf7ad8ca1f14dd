package framework

// DecodeSettings decodes settings into an S in the way that [Define] does, and
// returns every error of them at once.
func DecodeSettings[S any](settings map[string]any) (decoded S, err error) {
	err = decodeSettings(settings, &decoded, nil)
	return decoded, err
}
