package qemu

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/qlaunch/qlaunch/vms"
)

// Only this file makes QEMU options from values. There are two syntaxes: the comma-separated key=value list, in which
// a comma in a value is doubled (QEMU's docs/qemu-option-trace and util/keyval.c), and JSON, which -blockdev,
// -device, -netdev and -object accept since QEMU 6.2 and which needs no escaping rules of its own. -chardev and
// -machine do not accept JSON.

// prop is a key with its value; the order of an option's properties matters.
type prop struct {
	key   string
	value any
}

// list returns a comma-separated option: the first word unchanged, then each property, with the commas of its value
// doubled. It skips a property without a key.
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

// object is a JSON object that keeps the order of its keys, so that the key that says what it is ("driver", "type")
// is first.
type object []prop

// MarshalJSON encodes the properties in order.
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

// String returns the object as one line of JSON.
func (o object) String() string {
	text, err := o.MarshalJSON()
	if err != nil {
		panic(err) // strings, numbers, booleans and objects of these always marshal
	}
	return string(text)
}

// marshal is json.Marshal without HTML escapes, which would make a path with an ampersand unreadable.
func marshal(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// board collects the devices of a VM as words of the command line, and gives each its address on the machine's buses.
type board struct {
	vm   vms.VM
	list []string
}

// args collects a command line, with one method for each aspect.
type args struct {
	board
	files Files
}

func (b *board) add(words ...string) { b.list = append(b.list, words...) }

// device adds a device, as a list and not as JSON: QEMU creates the devices of the first form before all of the
// second, and those of each form in the order of the command line. So a user's devices in [qemu] args come after
// ours, and one without an address gets a free one.
func (b *board) device(driver string, props ...prop) { b.add("-device", list(driver, props...)) }

// microvm reports whether the machine has no PCI bus: its virtio devices use the memory-mapped transport (QEMU's
// docs/system/i386/microvm.rst).
func (b *board) microvm() bool { return b.vm.Machine == "microvm" }

// virtio returns the name of a virtio device on this machine's transport.
func (b *board) virtio(kind string) string {
	if b.microvm() {
		return "virtio-" + kind + "-device"
	}
	return "virtio-" + kind + "-pci"
}
