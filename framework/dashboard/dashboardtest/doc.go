// Package dashboardtest holds an office in memory: connections, streams, events
// and runs such as an operator sees them on a busy day, behind the real API, the
// real dashboard and the real gate. Tests, among them those in a browser, look at
// it and change it.
package dashboardtest
