// Command weirbench measures Weir beside floors: the least programs that do the same work durably,
// written by hand. Both run as processes of their own and take turns, since machines are noisy, and
// what counts is the median of the ratios.
//
//	weirbench webhooks               signed webhooks over 64 connections into SQLite
//	weirbench webhooks -postgres URL the same into PostgreSQL
//	weirbench mixed                  good ones among forged, repeated, oversized and slow ones
//	weirbench poll                   200,000 records from a local API into SQLite
//	weirbench deliver                200,000 stored events to a local endpoint, in three ways
//	weirbench latency                from a webhook that is sent to a sink's endpoint, beside the disk's sync
//	weirbench sinks                  100 sinks among 900 whose endpoints are dead, beside the 100 alone
//	weirbench crowd                  1,000 callers of triggers who are told of progress at one moment
//	weirbench growth -events N       webhooks into a store that holds N events and keys already
//
// A floor is no product: it has no health, no retries, no limits, no streams but one. It shows what
// the machine allows.
package main
