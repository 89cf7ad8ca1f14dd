// Package budget keeps the calls to a provider within the rate that it allows.
package budget
