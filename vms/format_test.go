package vms

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// random makes VMs that are valid, with texts that are hard to quote.
type random struct{ *rand.Rand }

func pick[T any](r random, from ...T) T { return from[r.IntN(len(from))] }

func (r random) text() string {
	return pick(r, "", "a", `C:\x`, `"`, `'`, `'''`, `"""`, "a,b=c", "# no comment", "${x}", "ünï", "日本", `\u0041`, " ", "{}[]", "😀", "a'b\"c")
}

func (r random) path() string { return filepath.Join("/", "d", r.text(), r.text(), "x") }

func (r random) maybePath() string { return pick(r, "", r.path()) }

func (r random) vm(env Env) VM {
	vm := VM{
		Name: env.Name, File: env.File, DataDir: env.DataDir, StateDir: env.StateDir, RunDir: env.RunDir,
		Description: r.text(),
		UUID:        UUID{byte(r.IntN(256)), byte(1 + r.IntN(255)), 15: byte(r.IntN(256))},
		Memory:      Size(1+r.IntN(1<<20)) * MiB,
		CPUs:        1 + r.IntN(4096),
		Arch:        "x86_64",
		Machine:     pick(r, "q35", "pc", "microvm", "pc-q35-7.2"),
		Accel:       pick(r, KVM, TCG, AccelAuto),
		CPU:         pick(r, "host", "max", "qemu64", "host,-arch-capabilities"),
		Firmware:    pick(r, BIOS, UEFI),
		Display:     Display{Type: pick(r, DisplayNone, DisplayVNC, DisplaySpice)},
		SSH: SSH{User: pick(r, "", "debian", `CORP\j`), Port: uint16(1 + r.IntN(65535)),
			Identity: strings.ReplaceAll(r.maybePath(), "${", "$"), NIC: AnyNIC},
		Shutdown: Shutdown{Timeout: Duration(1 + r.Int64N(int64(24*time.Hour)))},
		Systemd:  Systemd{Restart: pick(r, RestartNo, RestartOnFailure)},
		QEMU:     QEMU{Binary: pick(r, "qemu-kvm", r.path()), Helper: r.maybePath()},
	}
	if r.IntN(2) == 0 {
		vm.Kernel = Kernel{Image: r.path(), Initrd: r.maybePath(), Cmdline: r.text()}
	}
	for i := range r.IntN(5) {
		vm.Disks = append(vm.Disks, Disk{
			Path:     filepath.Join(r.path(), string(rune('a'+i))),
			Size:     pick(r, 0, 512, 20*GiB, Size(1+r.IntN(1<<30))*512),
			Format:   pick(r, QCOW2, Raw),
			Bus:      pick(r, BusVirtio, BusSCSI),
			ReadOnly: r.IntN(2) == 0,
		})
	}
	for i := range r.IntN(6) {
		switch pick(r, NICBridge, NICUser, NICNone) {
		case NICBridge:
			vm.SSH.NIC = pick(r, AnyNIC, NICChoice(strconv.Itoa(i)))
			vm.NICs = append(vm.NICs, NIC{Index: i, Type: NICBridge, Bridge: pick(r, "auto", "br0", "a'b\"c\\d#"), MAC: r.mac(i), Model: "e1000"})
		case NICUser:
			vm.NICs = append(vm.NICs, NIC{Index: i, Type: NICUser, MAC: r.mac(i), Model: "virtio-net-pci", Forwards: r.forwards(i)})
		}
	}
	for range r.IntN(4) {
		vm.QEMU.Args = append(vm.QEMU.Args, r.text())
	}
	return vm
}

func (r random) mac(i int) MAC {
	return MAC{byte(r.IntN(128)) << 1, byte(1 + r.IntN(255)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256)), byte(i)}
}

func (r random) forwards(i int) []Forward {
	var forwards []Forward
	for j := range r.IntN(3) {
		addr := netip.AddrFrom4([4]byte{127, 0, byte(r.IntN(256)), 1})
		forwards = append(forwards, Forward{netip.AddrPortFrom(addr, uint16(1+100*i+j)), uint16(1 + r.IntN(65535))})
	}
	return forwards
}

func TestWhatIsWrittenReadsBackAsItWas(t *testing.T) {
	env := hostEnv()
	for seed := range uint64(500) {
		vm := random{rand.New(rand.NewPCG(seed, 1))}.vm(env)
		got, err := Parse(Format(vm), env)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, Format(vm))
		}
		if diff := cmp.Diff(vm, got, cmp.Comparer(sameForward)); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
		if again := Format(got); !bytes.Equal(again, Format(vm)) {
			t.Fatalf("seed %d: written twice, the text differs: %s", seed, again)
		}
	}
}

func TestADefinitionIsWrittenWithEveryKey(t *testing.T) {
	vm, err := Parse(read(t, "testdata/reference.toml"), hostEnv())
	if err != nil {
		t.Fatal(err)
	}
	want := read(t, "testdata/reference.formatted.toml")
	if diff := cmp.Diff(string(want), string(Format(vm))); diff != "" {
		t.Error(diff)
	}
}
