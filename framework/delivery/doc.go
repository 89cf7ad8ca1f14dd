// Package delivery takes events from the log to where sinks send them.
//
// A sink reads streams at an offset each. The log is the queue: there is no other
// one that could disagree with it. An offset passes an event only when the event
// was delivered, is parked with a retry of its own, or became a dead letter, and
// all of that is in one commit with the offset. So every event is delivered at
// least once or kept as a dead letter; offsets are committed every 100 ms or
// 1,000 events, which bounds what is sent again after a crash. The id of an event
// is the same each time, by which a receiver knows what it has.
//
// # Order
//
// An ordered sink (the default) has one request in flight a stream, and a failing
// event holds the stream until it is delivered or given up. With order per key the
// events of one entity stay in order: a failing one is parked, those of its entity
// that follow are parked behind it, and all others go on. An unordered sink parks
// what fails and goes on.
//
// # Failure
//
// A [sink.Policy] says what an answer means: delivered, try again, split the batch to
// find the event that is at fault, give up, or stop the sink. A breaker keeps an
// endpoint that answers nothing good from being called for everything that waits:
// it opens after some failures in a row and lets one request through at a time
// until one succeeds.
//
// All state of a sink belongs to one goroutine. Reading, sending and committing
// are done beside it, and their results come back to it.
package delivery
