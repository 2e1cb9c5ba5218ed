package qemu

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// ErrNoImage says of a file that a guest cannot have it as a disk.
var ErrNoImage = errors.New("neither a qcow2 image nor a raw one, which has whole sectors of 512 bytes")

// ImageFormat is the format of an image that is there, by its header. It is for who writes a definition, on the user's word
// that this is an image: a start takes the definition's, for a guest can write any header to the beginning of a raw disk.
func ImageFormat(path string) (vms.DiskFormat, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", cause(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", cause(err)
	}
	if err := checkKind(info); err != nil {
		return "", err
	}
	if err := checkQCOW2(path, f); !errors.Is(err, ErrNotQCOW2) && !errors.Is(err, ErrEmptyImage) {
		return vms.QCOW2, err
	}
	if info.Size()%512 != 0 || info.Size() == 0 && !isBlock(info) {
		return "", ErrNoImage
	}
	return vms.Raw, nil
}
