// Fakeqemu stands in for QEMU; package fakeqemu says how.
package main

import "github.com/qlaunch/qlaunch/test/fakeqemu"

func main() { fakeqemu.Main() }
