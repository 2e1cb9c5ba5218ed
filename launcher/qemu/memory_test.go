package qemu

import (
	"testing"
)

func TestMemoryThatTheHostDoesNotHaveIsWarnedOf(t *testing.T) {
	for name, test := range map[string]struct {
		memory string
		files  map[string]string
		want   string // the warning, or "ok " and the evidence
	}{
		"enough":  {"1GiB", nil, "ok the host has 1000MiB available and 100MiB of swap"},
		"no more": {"2GiB", nil, `memory = "2GiB", and the host has 1000MiB available and 100MiB of swap: the guest may be killed when it uses all of its memory`},
		"a limit above the control group": {"512MiB", map[string]string{
			"sys/fs/cgroup/user.slice/memory.max": "536870912\n", "sys/fs/cgroup/user.slice/memory.current": "209715200\n",
			"sys/fs/cgroup/user.slice/memory.stat":        "anon 1\ninactive_file 52428800\nactive_file 52428800\n",
			"sys/fs/cgroup/user.slice/a.scope/memory.max": "max\n", "sys/fs/cgroup/user.slice/a.scope/memory.current": "1\n",
		}, `memory = "512MiB", and the control group /user.slice has 412MiB left: the guest may be killed when it uses all of its memory`},
		"a limit that does": {"256MiB", map[string]string{
			"sys/fs/cgroup/user.slice/a.scope/memory.max": "536870912\n", "sys/fs/cgroup/user.slice/a.scope/memory.current": "0\n",
		}, "ok the control group /user.slice/a.scope has 512MiB left"},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			makeFile(t, root+"/proc/meminfo", "MemTotal: 9999999 kB\nMemAvailable: 1024000 kB\nSwapFree:  102400 kB\n")
			makeFile(t, root+"/proc/self/cgroup", "1:name=systemd:/x\n0::/user.slice/a.scope\n")
			for path, text := range test.files {
				makeFile(t, root+"/"+path, text)
			}
			vm := testVM(t, noNIC)
			if err := vm.Memory.UnmarshalText([]byte(test.memory)); err != nil {
				t.Fatal(err)
			}
			f := examineMemory(vm, root)
			got := "ok " + f.Evidence
			if f.Warning != nil {
				got = f.Warning.Error()
			}
			if got != test.want || f.Skipped {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}
