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

// A guest can write to its serial port without limit, and QEMU writes all of it to the log, with no process of ours
// that could limit it. So every command that looks at the VM trims the log by punching a hole into its front
// (fallocate(2)). QEMU keeps appending, no byte that is kept moves, so that readers keep their position, and two
// concurrent trims do no more than one. The file is sparse afterwards.
const (
	logMost  = 16 << 20 // a log with more bytes is trimmed
	logKept  = 8 << 20  // the number of bytes at its end that are kept
	logBlock = 64 << 10 // the largest block size of ext4, xfs and btrfs
)

// TrimLogs trims the logs of a VM that have grown too large.
func TrimLogs(vm vms.VM) error {
	return errors.Join(trimLog(ConsoleLog(vm)), trimLog(MessageLog(vm)))
}

func trimLog(path string) error {
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Size() <= logMost { // the usual case
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
	// A file system frees whole blocks, and fills the rest of a block with zeros.
	end := (info.Size() - logKept) &^ (logBlock - 1)
	err = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, end)
	if errors.Is(err, unix.EOPNOTSUPP) { // FAT, some network file systems: empty the log, since a full disk is worse
		err = f.Truncate(0)
	}
	if err != nil {
		return fmt.Errorf("cut %s: %w", path, err)
	}
	return nil
}

// SkipCut moves a reader of a log that was trimmed to the first byte that was kept, and returns the number of skipped
// bytes. In a log that was not trimmed it does nothing.
func SkipCut(log *os.File) (int64, error) {
	at, err := log.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	next, err := log.Seek(at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) || errors.Is(err, unix.EINVAL) { // the end of the log; or a file system without SEEK_DATA
		_, err = log.Seek(at, io.SeekStart)
		return 0, err
	}
	return next - at, err
}

// openLog opens a new log with mode 0600, and keeps that of the previous start as NAME.1.
func openLog(path string) (*os.File, error) {
	_ = trimLog(path) // if it cannot be trimmed, perhaps since it is a link, it is renamed anyway
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
}

// lastWords returns the last lines of a log, at most 20 lines and 4 KiB.
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
