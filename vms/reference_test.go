package vms

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
)

// hostEnv is the surroundings that the tests read definitions in.
func hostEnv() Env {
	return Env{
		Name:      "guestvm",
		File:      "/home/u/.config/qlaunch/vms/guestvm.toml",
		Home:      "/home/u",
		DataDir:   "/home/u/.local/share/qlaunch/vms/guestvm",
		StateDir:  "/home/u/.local/state/qlaunch/guestvm",
		RunDir:    "/run/user/1000/qlaunch/guestvm",
		Arch:      "x86_64",
		MachineID: "0123456789abcdef0123456789abcdef",
		UID:       1000,
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestTheReferenceIsAVM(t *testing.T) {
	env := hostEnv()
	got, err := Parse(read(t, "testdata/reference.toml"), env)
	if err != nil {
		t.Fatal(err)
	}
	forward, err := ParseForward("127.0.0.1:2222:22")
	if err != nil {
		t.Fatal(err)
	}
	want := VM{
		Name: env.Name, File: env.File, DataDir: env.DataDir, StateDir: env.StateDir, RunDir: env.RunDir,
		UUID:   UUID{0x1f, 0x8a, 0x5b, 0x6c, 0x0d, 0x2e, 0x4f, 0x3a, 0x8b, 0x7c, 0x9d, 0x0e, 0x1f, 0x2a, 0x3b, 0x4c},
		Memory: 2 * GiB, CPUs: 2, Arch: "x86_64", Machine: "q35", Accel: KVM, CPU: "host", Firmware: BIOS,
		Kernel: Kernel{
			Image:   "/home/u/.config/qlaunch/vms/vmlinuz",
			Initrd:  "/home/u/.config/qlaunch/vms/initrd.img",
			Cmdline: "console=ttyS0",
		},
		Disks: []Disk{{Path: "/home/u/vms/guestvm.qcow2", Size: 20 * GiB, Format: QCOW2, Bus: BusVirtio}},
		NICs: []NIC{
			{
				Index: 0, Type: NICBridge, Bridge: "auto",
				MAC: MAC{0x52, 0x54, 0, 0x53, 0x52, 0xb1}, Model: "virtio-net-pci",
			},
			{
				Index: 1, Type: NICUser,
				MAC: StableMAC(env.MachineID, 1000, "guestvm", 1), Model: "virtio-net-pci",
				Forwards: []Forward{forward},
			},
		},
		Display:  Display{Type: DisplayNone},
		SSH:      SSH{User: "debian", Port: 22, Identity: "/home/u/.ssh/id_ed25519", NIC: AnyNIC},
		Shutdown: Shutdown{Timeout: Duration(90 * time.Second)},
		Systemd:  Systemd{Restart: RestartNo},
		QEMU:     QEMU{Binary: "qemu-system-x86_64"},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(sameForward)); diff != "" {
		t.Error(diff)
	}
}

func sameForward(a, b Forward) bool { return a == b }

func TestTheReferenceHasEveryKey(t *testing.T) {
	var tree map[string]any
	if err := toml.Unmarshal(read(t, "testdata/reference.toml"), &tree); err != nil {
		t.Fatal(err)
	}
	var there []string
	keysOfTree(tree, "", &there)
	slices.Sort(there)
	want := keysOfType(reflect.TypeFor[VM](), "")
	slices.Sort(want)
	if diff := cmp.Diff(want, slices.Compact(there)); diff != "" {
		t.Error(diff)
	}
}

// keysOfTree collects the leaves of a decoded file.
func keysOfTree(tree any, path string, keys *[]string) {
	switch v := tree.(type) {
	case map[string]any:
		for key, value := range v {
			keysOfTree(value, join(path, key), keys)
		}
	case []any:
		if len(v) == 0 || reflect.TypeOf(v[0]).Kind() != reflect.Map {
			*keys = append(*keys, path)
			return
		}
		for _, value := range v {
			keysOfTree(value, path, keys)
		}
	default:
		*keys = append(*keys, path)
	}
}

// keysOfType collects the keys that the tags of a type name.
func keysOfType(typ reflect.Type, path string) []string {
	var keys []string
	for key, field := range fieldsOf(typ) {
		inner := field.Type
		if inner.Kind() == reflect.Slice {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && !isText(inner) {
			keys = append(keys, keysOfType(inner, join(path, key))...)
		} else {
			keys = append(keys, join(path, key))
		}
	}
	return keys
}

func TestTheManualHoldsTheReferenceWordForWord(t *testing.T) {
	manual := string(read(t, "../docs/config.md"))
	if !strings.Contains(manual, "```toml\n"+string(read(t, "testdata/reference.toml"))+"```\n") {
		t.Error("docs/config.md: its block of every key is not testdata/reference.toml")
	}
}

func TestTheReferenceShowsTheDefaults(t *testing.T) {
	got, err := Parse(nil, hostEnv())
	if err != nil {
		t.Fatal(err)
	}
	shown, err := Parse(read(t, "testdata/reference.toml"), hostEnv())
	if err != nil {
		t.Fatal(err)
	}
	// What the reference says is not the default, by its own words.
	shown.Kernel, shown.Disks, shown.SSH.User, shown.SSH.Identity = Kernel{}, nil, "", ""
	shown.UUID = StableUUID(hostEnv().MachineID, 1000, "guestvm")
	shown.NICs = shown.NICs[:1]
	shown.NICs[0].MAC = StableMAC(hostEnv().MachineID, 1000, "guestvm", 0)
	if diff := cmp.Diff(shown, got, cmp.Comparer(sameForward)); diff != "" {
		t.Error(diff)
	}
}
