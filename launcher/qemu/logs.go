package qemu

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// A guest can write to its serial port for ever, and QEMU writes all of it to
// the log: nobody of ours is there to count. So a log is cut by whoever looks at
// the VM, by punching a hole into its front (fallocate(2)): QEMU goes on to
// append, no byte that is kept moves, so that a reader keeps its place, and two
// that cut at the same time do no more than one. What it leaves is a sparse file.
const (
	logMost  = 16 << 20 // bytes above which a log is cut
	logKept  = 8 << 20  // its last bytes, which stay
	logBlock = 64 << 10 // the largest block of ext4, xfs and btrfs
)

// TrimLogs cuts the logs of a VM that have grown too large down to their ends.
func TrimLogs(vm vms.VM) error {
	return errors.Join(trimLog(ConsoleLog(vm)), trimLog(MessageLog(vm)))
}

func trimLog(path string) error {
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Size() <= logMost { // as nearly always
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	gone, err := SkipCut(f)
	if err != nil || info.Size()-gone <= logMost {
		return err
	}
	// A file system frees whole blocks, and fills the rest of one with zeros.
	end := (info.Size() - logKept) &^ (logBlock - 1)
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, end)
	if errors.Is(err, unix.EOPNOTSUPP) { // FAT, some network file systems: all is cut, for a disk that is full is worse
		err = f.Truncate(0)
	}
	if err != nil {
		return fmt.Errorf("cut %s: %w", path, err)
	}
	return nil
}

// SkipCut moves a log's reader from where a log was cut to where it goes on, and
// tells how many bytes there are no more. A log that was not cut is left as it is.
func SkipCut(log *os.File) (int64, error) {
	at, err := log.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	next, err := log.Seek(at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) || errors.Is(err, unix.EINVAL) { // the log's end; or a file system that does not know
		_, err = log.Seek(at, io.SeekStart)
		return 0, err
	}
	return next - at, err
}

// openLog opens a fresh log, 0600, and keeps the one of the start before as NAME.1.
func openLog(path string) (*os.File, error) {
	_ = trimLog(path) // what cannot be cut, a link that somebody put there perhaps, is put aside all the same
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
}

// lastWords gives the last lines of a log, at most twenty of them and 4 KiB.
func lastWords(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	const most = 4096
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, io.SeekEnd)
	}
	text, _ := io.ReadAll(io.LimitReader(f, most))
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
