// Package sink says what a sink is made of: how it turns events into messages and
// sends them, and what it does when that fails. A connector returns a [Spec] for
// each connection of type sink; package delivery runs it.
package sink
