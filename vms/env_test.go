package vms

import "testing"

func TestSurroundingsThatLackSomething(t *testing.T) {
	const file = "/home/u/.config/qlaunch/vms/guestvm.toml"
	for _, test := range []struct {
		name, text string
		env        func(*Env)
		want       string
	}{
		{"no home directory", `ssh.identity = "~/id"`, func(env *Env) { env.Home = "" },
			file + `:1:1: ssh.identity = "~/id": there is no home directory to put for ~`},
		{"a host of another architecture", "cpus = 1\n", func(env *Env) { env.Arch = "riscv64" },
			file + `:1:1: arch: must be named, as the host's own, riscv64, is not one that can be run`},
		{"a file that a terminal would obey", "cpus = 0", func(env *Env) { env.File = "/a\x1b[31m/guestvm.toml" },
			"/a\x1b[31m/guestvm.toml:1:1: cpus = 0: must be at least 1"},
		{"more keys than a definition has", numbered("k%d = 1\n", 10_001), func(*Env) {},
			file + ":1:1: more than 10000 keys"},
	} {
		t.Run(test.name, func(t *testing.T) {
			env := hostEnv()
			test.env(&env)
			if _, err := Parse([]byte(test.text), env); err == nil || err.Error() != test.want {
				t.Errorf("got %v", err)
			}
		})
	}
}
