// Package trigger starts runs of actions for whoever calls their addresses.
//
// A connection of type trigger has a path, a method and a way to prove who calls.
// A request that passes starts a run, and its answer tells the progress of the run
// as server-sent events, or waits for its end, or says where the run is. The run
// goes on when its caller is gone: who comes back with Last-Event-ID hears the
// rest, at any node.
package trigger
