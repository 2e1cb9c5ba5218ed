package qemu

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestWhatIsWrongWithTheDeviceIsSaid(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "kvm")
	if err := os.WriteFile(good, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkKVM(good); err != nil {
		t.Errorf("a device that opens: %v", err)
	}
	absent := filepath.Join(dir, "none")
	want := absent + ": no such file or directory: the kvm module is not loaded, or the CPU's virtualization is switched off in the firmware"
	if err := checkKVM(absent); !errors.Is(err, ErrNoKVM) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	denied := &KVMError{Device: "/dev/kvm", Group: "kvm", Err: ErrKVMDenied}
	if got, want := denied.Error(), `/dev/kvm: this user may not open it, only group "kvm" may`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTheGroupThatMayOpenADeviceIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kvm")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := openingGroup(file); got != "" {
		t.Errorf("mode 0600: group %q may open it", got)
	}
	if err := os.Chmod(file, 0o660); err != nil {
		t.Fatal(err)
	}
	if got := openingGroup(file); got == "" {
		t.Error("mode 0660: no group may open it")
	}
}
