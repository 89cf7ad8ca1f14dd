// Package seal keeps secrets of connections so that who reads the store, or a
// backup of it, does not have them.
//
// [ParseKeys] reads the keys of the operator. The first one seals; all of them
// open, so that a key can be replaced while the process runs. [Keys.Seal] turns a
// secret into a text that stands in the stored settings in its place:
//
//	weir:sealed:v1:<key id>:<base64url of nonce, ciphertext and tag>
//
// It is AES-256-GCM with a random nonce, under a key derived by HKDF from the
// operator's. The connection's id and the path of the setting are authenticated
// with it: a sealed text that is copied to another connection or to another
// setting does not open, so it cannot be sent where somebody likes.
//
// What it does not do: who can read the key and the store has the secrets, and
// who may change a connection can have its secrets sent to an address of their
// own. Both is in the nature of a process that must use them.
package seal
