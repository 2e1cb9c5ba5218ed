package crash

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// deadline is how long any command may take on a loaded machine. None comes near it.
const deadline = 30 * time.Second

// home is a user's directories, with VMs of their own.
type home struct {
	t   *testing.T
	dir string
}

// newHome makes a home. Its path is short, as it is on a real host: a socket's name has 107 bytes.
func newHome(t *testing.T) *home {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "qc") //nolint:usetesting // t.TempDir has a long path
	if err != nil {
		t.Fatal(err)
	}
	h := &home{t, dir}
	t.Cleanup(func() {
		for _, p := range h.processes() {
			_ = unix.Kill(p.pid, unix.SIGKILL)
		}
		_ = os.RemoveAll(dir)
	})
	for _, sub := range []string{"config/qlaunch/vms", "run", "marks", "disks"} {
		if err := os.MkdirAll(h.path(sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h *home) path(parts ...string) string {
	return filepath.Join(append([]string{h.dir}, parts...)...)
}

// environ is what qlaunch runs with: nothing of the user who runs the test.
func (h *home) environ() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.dir,
		"XDG_CONFIG_HOME=" + h.path("config"), "XDG_DATA_HOME=" + h.path("data"),
		"XDG_STATE_HOME=" + h.path("state"), "XDG_RUNTIME_DIR=" + h.path("run")}
}

// write puts a file of the test's own into place.
func (h *home) write(path, text string) {
	h.t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
}

func (h *home) definition(name string) string {
	return h.path("config/qlaunch/vms", name+".toml")
}

// runDir is the directory of a VM's pid file and sockets.
func (h *home) runDir(name string) string { return h.path("run/qlaunch", name) }

// ended is how a program ended.
type ended struct {
	line   string
	code   int // -1: by a signal
	signal unix.Signal
	out    string
	err    string
}

// qlaunch runs one command line to its end.
func (h *home) qlaunch(args ...string) ended {
	return h.run(append([]string{programs.qlaunch}, args...), nil)
}

func (h *home) run(argv, environ []string) ended {
	h.t.Helper()
	e, err := h.try(argv, environ)
	if err != nil {
		h.t.Fatal(err)
	}
	return e
}

// try runs a program. What it gives on an own goroutine is for the test's to judge.
func (h *home) try(argv, environ []string) (ended, error) {
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = append(h.environ(), environ...)
	cmd.Dir = h.dir
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGQUIT) } // it tells where it hangs
	// What the program leaves running must not hold its output open: that is not its end.
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	e := ended{line: strings.Join(argv, " "), out: out.String(), err: said.String()}
	if ctx.Err() != nil {
		return e, errors.New(e.line + ": not done after " + deadline.String() + "\n" + e.err)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		e.code = exit.ExitCode()
		if status, ok := exit.Sys().(interface{ Signal() unix.Signal }); ok && e.code < 0 {
			e.signal = status.Signal()
		}
		return e, nil
	}
	return e, err
}

// process is one of a home's.
type process struct {
	pid  int
	line string // its command line, NULs as blanks
}

// isQEMU tells a QEMU, real or fake, from what starts it.
func (p process) isQEMU() bool {
	program := filepath.Base(strings.Fields(p.line + " -")[0])
	return program == filepath.Base(programs.fakeQEMU) || strings.HasPrefix(program, "qemu-system-")
}

// processes are all that live and name the home in their command line or their
// environment; a child between fork and exec still has its parent's.
func (h *home) processes() []process {
	var found []process
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		environ, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "environ"))
		if bytes.Contains(line, []byte(h.dir+"/")) || bytes.Contains(environ, []byte(h.dir+"/")) {
			found = append(found, process{pid, strings.TrimSpace(string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))})
		}
	}
	return found
}

// settled waits until each process of the home is a QEMU that has the lock of
// its VM, and gives those of one. There is no event to wait for: it is about processes that nobody started knowingly.
func (h *home) settled(name string) []process {
	h.t.Helper()
	for end := time.Now().Add(deadline); ; time.Sleep(time.Millisecond) {
		all := slices.DeleteFunc(h.processes(), func(p process) bool {
			return p.isQEMU() && !strings.Contains(p.line, "-name guest="+name+" ") // another VM's
		})
		stray := slices.ContainsFunc(all, func(p process) bool { return !p.isQEMU() || p.pid != h.lockHolder(name) })
		if !stray {
			return all
		}
		if time.Now().After(end) {
			h.t.Fatalf("processes that are not the VM's QEMU, after %s: %v; pid %d has the lock", deadline, all, h.lockHolder(name))
		}
	}
}

// lockHolder asks the kernel who has the lock on a VM's pid file, 0 for nobody.
func (h *home) lockHolder(name string) int {
	f, err := os.Open(filepath.Join(h.runDir(name), "pid"))
	if err != nil {
		return 0
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock); err != nil || lock.Type == unix.F_UNLCK {
		return 0
	}
	return int(lock.Pid)
}

// files are all files below a directory of the home, sorted; directories end in a slash.
func (h *home) files(dir string) []string {
	h.t.Helper()
	var found []string
	err := filepath.WalkDir(h.path(dir), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		name := strings.TrimPrefix(path, h.dir+"/")
		if err == nil && entry.IsDir() {
			name += "/"
		}
		found = append(found, name)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return found
}
