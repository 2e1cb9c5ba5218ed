package qemu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// ErrSpace says that a file system may become full.
var ErrSpace = errors.New("less free space than the disks may still need")

// spaces returns the file systems of the disks, in the order of the disks.
func spaces(disks []vms.Disk) []*SpaceError {
	var all []*SpaceError
	of := map[unix.Fsid]*SpaceError{}
	for _, d := range disks {
		dir := existing(filepath.Dir(d.Path))
		var st unix.Statfs_t
		if unix.Statfs(dir, &st) != nil {
			continue
		}
		if of[st.Fsid] == nil {
			of[st.Fsid] = &SpaceError{Dir: dir, Free: st.Bavail * uint64(st.Bsize)}
			all = append(all, of[st.Fsid])
		}
		of[st.Fsid].Need += growth(d)
	}
	return all
}

// SpaceError says that a file system has less free space than disks on it may still need.
type SpaceError struct {
	Dir        string
	Free, Need uint64 // bytes
}

// Error returns both amounts.
func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s: %v", e.amounts(), ErrSpace)
}

func (e *SpaceError) amounts() string {
	return fmt.Sprintf("%s: %s free, the disks may grow by %s", e.Dir, inMiB(e.Free), inMiB(e.Need))
}

// slack returns the free space beyond the need, in MiB; negative if there is not enough.
func (e *SpaceError) slack() int64 { return int64(e.Free>>20) - int64(e.Need>>20) }

// inMiB rounds a size down to MiB.
func inMiB(n uint64) vms.Size { return vms.Size(n) &^ (vms.MiB - 1) }

// Unwrap returns ErrSpace.
func (e *SpaceError) Unwrap() error { return ErrSpace }

// existing returns a directory, or its nearest parent that exists, since disks are created with their directories.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || dir == "/" {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// growth returns how much more space a disk may use: its size as the guest sees it, minus what it uses already; 0 if
// it is not a regular file.
func growth(d vms.Disk) uint64 {
	f, err := os.OpenFile(d.Path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return uint64(d.Size)
	}
	defer f.Close()
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || d.ReadOnly {
		return 0
	}
	size := uint64(st.Size)
	if d.Format == vms.QCOW2 {
		size = virtualSize(f)
	}
	size = max(size, uint64(d.Size)) // to which a start grows it
	const most = 1 << 56             // a header can have any value, and several values are added
	return min(size-min(size, uint64(st.Blocks)*512), most)
}

// virtualSize returns the size in a qcow2 image's header, as the guest sees it: the eight bytes from 24 on (QEMU's
// docs/interop/qcow2.txt).
func virtualSize(r io.ReaderAt) uint64 {
	header := make([]byte, 32)
	if n, _ := r.ReadAt(header, 0); n < len(header) {
		return 0
	}
	return binary.BigEndian.Uint64(header[24:])
}
