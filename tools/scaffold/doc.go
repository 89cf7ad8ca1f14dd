// Package scaffold writes new connectors and new modules from templates, and
// keeps the list of linked connectors (connectors/all) up to date. What it
// writes compiles, passes the checker and passes its own test untouched.
package scaffold
