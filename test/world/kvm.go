package world

import (
	_ "embed"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// kvm makes /dev/kvm. What is behind it is the machine's KVM, or where the
// options name another answer to -cpu host, a device that opens: no KVM is
// needed for that. A node that nobody but root may open needs none either,
// because the kernel looks at its mode first.
func (m *maker) kvm(at string) error {
	host, device := "/dev/kvm", unix.Mkdev(10, 232)
	if m.HostCPU != "machine" {
		host, device = "/dev/null", unix.Mkdev(1, 3)
	} else if m.KVM == "open" && unix.Access(host, unix.F_OK) != nil {
		m.KVM = "absent" // from the machine, so from the world
	}
	return m.node(at, "kvm", host, device, m.KVM)
}

//go:embed kvm.sh
var kvmScript []byte

// standIn puts a QEMU before the real one that has the options' answer to -cpu host under KVM.
func (m *maker) standIn() error {
	if m.HostCPU == "machine" {
		return nil
	}
	bin := filepath.Join(Dir, "bin")
	if err := os.WriteFile(filepath.Join(bin, "host-cpu"), []byte(m.HostCPU+"\n"), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(bin, "qemu-system-x86_64"), kvmScript, 0o755)
}
