// Package github sends Weir every webhook payload that the community has collected from GitHub,
// through the real intake into a real store.
package github
