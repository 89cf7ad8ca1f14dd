// Package file is a sink that appends events to files of lines, for a first look
// and for development. Lines are on the disk before a sink's offset passes their
// events; a file that is large or old enough is put aside under a name with its
// time, and the oldest of those may be removed.
package file
