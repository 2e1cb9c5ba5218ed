// Package e2e holds the end-to-end tests: the scripts in testdata do what a user
// does, with real QEMU, the real bridge helper, a real bridge, a real DHCP
// server and a real guest, each in a world of its own (package world).
package e2e
