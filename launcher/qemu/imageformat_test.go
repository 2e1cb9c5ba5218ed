package qemu

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/qlaunch/qlaunch/vms"
)

// What an image is called does not count.
func TestAnImagesFormatIsThatOfItsHeader(t *testing.T) {
	dir := t.TempDir()
	qcow2 := append([]byte("QFI\xfb\x00\x00\x00\x03"), make([]byte, 504)...)
	backed := append([]byte("QFI\xfb\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x02"), make([]byte, 497)...)
	for _, test := range []struct {
		name string
		data []byte
		want vms.DiskFormat
		err  error
	}{
		{"a.raw", qcow2, vms.QCOW2, nil},
		{"a.qcow2", make([]byte, 1024), vms.Raw, nil},
		{"backed.qcow2", backed, vms.QCOW2, ErrBackingFile},
		{"text", []byte("this is no image\n"), "", ErrNoImage},
		{"empty", nil, "", ErrNoImage},
	} {
		path := filepath.Join(dir, test.name)
		if err := os.WriteFile(path, test.data, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ImageFormat(path); got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%s: got %q, %v", test.name, got, err)
		}
	}
	if _, err := ImageFormat(dir); !errors.Is(err, ErrDiskKind) {
		t.Errorf("a directory: got %v", err)
	}
	if _, err := ImageFormat(filepath.Join(dir, "nosuch")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: got %v", err)
	}
}
