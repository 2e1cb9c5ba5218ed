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

// spaces are the file systems that disks lie on, in the order of the disks.
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

// Error names both amounts.
func (e *SpaceError) Error() string {
	return fmt.Sprintf("%s: %v", e.amounts(), ErrSpace)
}

func (e *SpaceError) amounts() string {
	return fmt.Sprintf("%s: %s free, the disks may grow by %s", e.Dir, inMiB(e.Free), inMiB(e.Need))
}

// slack is what is free beyond the need, in MiB; less than nothing when it does not do.
func (e *SpaceError) slack() int64 { return int64(e.Free>>20) - int64(e.Need>>20) }

// inMiB is a size to the MiB below.
func inMiB(n uint64) vms.Size { return vms.Size(n) &^ (vms.MiB - 1) }

// Unwrap is ErrSpace.
func (e *SpaceError) Unwrap() error { return ErrSpace }

// existing is a directory, or the nearest above it that exists: disks are made with their directories.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) || dir == "/" {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

// growth is how much space a disk may still take: its size as the guest sees it, without what it has already. What is
// no regular file takes none.
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
	const most = 1 << 56             // a header can say anything, and several are added up
	return min(size-min(size, uint64(st.Blocks)*512), most)
}

// virtualSize is what a qcow2 image's header says that the guest sees: the eight bytes from 24 on (QEMU's docs/interop/qcow2.txt).
func virtualSize(r io.ReaderAt) uint64 {
	header := make([]byte, 32)
	if n, _ := r.ReadAt(header, 0); n < len(header) {
		return 0
	}
	return binary.BigEndian.Uint64(header[24:])
}
