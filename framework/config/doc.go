// Package config reads weir.yaml.
//
// The whole file is checked before any of it is used, and every error is
// reported at once with its line and column. Text values may refer to secrets:
// ${NAME} is the environment variable NAME, ${file:/path} the content of a file
// without its last line break, and $${ stands for a plain ${. A reference to
// something that is missing is an error; there is no empty default.
package config
