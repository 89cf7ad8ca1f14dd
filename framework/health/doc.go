// Package health says how a stream is doing.
//
// [Of] is the whole judgement: a pure function from facts to one [State].
// [Board] reads the facts of all streams from the store and the runtime and
// makes a [View] of each: the row that the API answers, the dashboard shows and
// `weir status` prints, so that the three never disagree.
//
// The board reads totals and hourly counts that were kept as events were
// recorded; nothing here counts events.
package health
