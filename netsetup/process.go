package netsetup

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// RunsProgram reports whether a process, with its directory in root/proc, runs a program of that name. Any user can
// choose the argv of a process, even of a setuid program, so the executable decides; for a caller that is root, only
// root may be able to change it. An ordinary user cannot see the executables of other users' processes, and argv
// decides for those: the result is only shown to that user, and changes nothing on the host.
func RunsProgram(root string, pid int, name string) bool {
	dir := filepath.Join(root, "proc", strconv.Itoa(pid))
	exe, err := os.Readlink(filepath.Join(dir, "exe"))
	if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
		argv0, _, _ := strings.Cut(string(readSome(filepath.Join(dir, "cmdline"), maxCommand)), "\x00")
		return filepath.Base(argv0) == name
	}
	exe = strings.TrimSuffix(exe, " (deleted)") // by an upgrade, proc_pid_exe(5)
	if err != nil || filepath.Base(exe) != name {
		return false
	}
	if os.Geteuid() != 0 {
		return true
	}
	var st unix.Stat_t // of the running file, which its path may no longer lead to
	err = unix.Stat(filepath.Join(dir, "exe"), &st)
	return err == nil && st.Uid == 0 && st.Mode&0o022 == 0 && trusted(root, exe, 0) == nil
}

// Taps returns the names of the taps that a process has open: the fdinfo of an open /dev/net/tun has the interface's
// name as "iff:" since Linux 3.13 (drivers/net/tun.c, tun_chr_show_fdinfo). For a process that cannot be examined it
// returns none.
func Taps(pid int) []string {
	infos, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid)) // the only error is a malformed pattern
	var taps []string
	for _, info := range infos {
		data, err := os.ReadFile(info)
		if err != nil {
			continue // closed meanwhile
		}
		if _, rest, is := strings.Cut(string(data), "iff:\t"); is {
			tap, _, _ := strings.Cut(rest, "\n")
			taps = append(taps, tap)
		}
	}
	return taps
}

// maxCommand limits how many bytes of a command line are read. Those of dnsmasq are short.
const maxCommand = 1 << 16

// readSome reads a regular file up to limit bytes. It returns nothing for an unreadable file, and never blocks on a
// FIFO.
func readSome(path string, limit int64) []byte {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	data, _ := io.ReadAll(io.LimitReader(f, limit))
	return data
}
