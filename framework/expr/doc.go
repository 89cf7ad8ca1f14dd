// Package expr runs the one expression language of settings, jq, with the
// library gojq.
//
// An expression that only selects, such as .data[] or .items[] | select(.open),
// gives the bytes of the document as they came: number digits, key order,
// escapes and spaces stay. One that computes gives what it computed; numbers in
// it that were not computed with keep their digits.
//
// Expressions read nothing but their input: no environment, no files, no
// modules, no further input. They are bounded in time and in what they give.
package expr
