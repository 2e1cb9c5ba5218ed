package qemu

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/qlaunch/qlaunch/vms"
)

// This file is the one place where a value becomes part of a QEMU option. Two
// syntaxes are in use: the comma-separated key=value list, in which a comma in
// a value is doubled (QEMU's docs/qemu-option-trace and util/keyval.c), and
// JSON, which -blockdev, -device, -netdev and -object take since QEMU 6.2 and
// which needs no rule of its own. -chardev and -machine do not take JSON.

// prop is one key and its value, in an option's order.
type prop struct {
	key   string
	value any
}

// list gives a comma-separated option: the first word as it is, then each
// property, the commas of its value doubled. A property without a key is left out.
func list(first string, props ...prop) string {
	var b strings.Builder
	b.WriteString(first)
	for _, p := range props {
		if p.key == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "%s=%s", p.key, strings.ReplaceAll(fmt.Sprint(p.value), ",", ",,"))
	}
	return b.String()
}

// object is a JSON object whose keys keep the order in which they were given,
// so that the word that says what it is ("driver", "type") stands first.
type object []prop

// MarshalJSON writes the properties in order.
func (o object) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i, p := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := marshal(p.value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", p.key, value)
	}
	b.WriteByte('}')
	return []byte(b.String()), nil
}

// String is the object as one line of JSON.
func (o object) String() string {
	text, err := o.MarshalJSON()
	if err != nil {
		panic(err) // strings, numbers, booleans and objects of these always marshal
	}
	return string(text)
}

// marshal is json.Marshal without HTML's escapes, which would make a path with an ampersand unreadable.
func marshal(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// args gathers a command line, one method an aspect.
type args struct {
	vm    vms.VM
	files Files
	list  []string
}

func (a *args) add(words ...string) { a.list = append(a.list, words...) }

// device adds a device. It is written as a list and not in JSON: QEMU makes the
// devices of the first form before all those of the second, and each form's in
// the line's order. So what a user has in [qemu] args comes after ours, and
// without an address of its own gets one that is free.
func (a *args) device(driver string, props ...prop) { a.add("-device", list(driver, props...)) }

// microvm says that the machine has no PCI bus: its virtio devices are on the
// memory-mapped transport (QEMU's docs/system/i386/microvm.rst).
func (a *args) microvm() bool { return a.vm.Machine == "microvm" }

// virtio is the name of a virtio device on this machine's transport.
func (a *args) virtio(kind string) string {
	if a.microvm() {
		return "virtio-" + kind + "-device"
	}
	return "virtio-" + kind + "-pci"
}
