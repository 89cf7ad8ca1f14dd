// Package all links every connector of this module.
//
// all.go is written by go generate, which lists the folders beside this one that
// declare a Plugin. It is the place of the rules that hold between connectors:
// the checker reports two of one name here.
package all

//go:generate go run ./gen
