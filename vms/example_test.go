package vms_test

import (
	"fmt"

	"github.com/qlaunch/qlaunch/vms"
)

func ExampleParse() {
	const text = `
memroy = "4GiB"
cpus = 0
`
	_, err := vms.Parse([]byte(text), vms.Env{Name: "web", File: "/vms/web.toml", Arch: "x86_64"})
	fmt.Println(err)
	// Output:
	// /vms/web.toml:2:1: unknown key "memroy": did you mean "memory"?
	// /vms/web.toml:3:1: cpus = 0: must be at least 1
}
