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

// RunsProgram says whether a process, with its directory in root/proc, runs a program of that name. Its argv says
// whatever who started it wanted, also of a setuid program's: what counts is the executable, and for root that it is
// root's alone too. An ordinary user does not see the executables of others' processes, and only there goes by their
// argv: what comes of it tells that user something, and changes nothing on the host.
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
	var st unix.Stat_t // of the file that runs, whatever is at its path now
	err = unix.Stat(filepath.Join(dir, "exe"), &st)
	return err == nil && st.Uid == 0 && st.Mode&0o022 == 0 && trusted(root, exe, 0) == nil
}

// Taps are the taps that a process holds: each open file of /dev/net/tun has its interface's name in fdinfo, as "iff:",
// since Linux 3.13 (drivers/net/tun.c, tun_chr_show_fdinfo). Of a process that cannot be looked at there are none.
func Taps(pid int) []string {
	infos, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid)) // the pattern is no malformed one
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

// maxCommand bounds what is read of a command line, in bytes: one of dnsmasq's is short.
const maxCommand = 1 << 16

// readSome reads a regular file up to a limit, and nothing of what cannot be read. It never blocks on a FIFO.
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
