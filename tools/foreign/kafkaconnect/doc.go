// Package kafkaconnect holds the Kafka Connect API of a real Weir to a client that others wrote: the
// npm package kafka-connect-client. drive.js takes a connector through its whole life with every
// method that the client has, in the order of Apache Kafka's own test of the API, and checks each
// answer.
package kafkaconnect
