// Package kafkaconnect is the Kafka Connect REST API in front of Weir's
// connections: whoever has tools for Kafka Connect can point them at Weir.
//
// A connector of this face is a connection of type source or sink, a topic is a
// stream by its id "<connection>.<key>", and every connector has one task.
// Paths, codes and bodies are those of Apache Kafka 4.1
// (https://kafka.apache.org/documentation/#connect_rest).
package kafkaconnect
