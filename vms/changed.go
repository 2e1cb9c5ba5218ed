package vms

import (
	"reflect"
	"slices"
)

// Changed returns the top-level keys in which the definition now differs from the one that the running VM was started
// with, in the order of the fields of [VM]. An "auto" in now counts as unchanged: it is replaced by the choice that
// the start made for it.
func Changed(started, now VM) []string {
	if now.Accel == AccelAuto {
		now.Accel = started.Accel
	}
	now.NICs = slices.Clone(now.NICs)
	for i := range now.NICs {
		nic := &now.NICs[i]
		same := func(was NIC) bool { return was.Index == nic.Index && was.Type == NICBridge }
		if j := slices.IndexFunc(started.NICs, same); nic.Bridge == "auto" && j >= 0 {
			nic.Bridge = started.NICs[j].Bridge
		}
	}
	var keys []string
	was, is := reflect.ValueOf(started), reflect.ValueOf(now)
	for field := range was.Type().Fields() {
		key := field.Tag.Get("toml")
		if key == "-" {
			continue
		}
		if !reflect.DeepEqual(was.FieldByIndex(field.Index).Interface(), is.FieldByIndex(field.Index).Interface()) {
			keys = append(keys, key)
		}
	}
	return keys
}
