package netsetup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	commandDeadline = 3 * time.Second // programs answer in milliseconds unless a bus or a daemon hangs
	commandOutput   = 1 << 20         // bytes of its output that are kept
)

// errNotInstalled means that a program is in none of the system's directories for programs.
var errNotInstalled = errors.New("not installed")

// run runs a program of the host from the system's own directories, regardless of PATH. It returns the program's output
// even if the program fails.
func (q CheckQuery) run(ctx context.Context, name string, args ...string) (string, error) {
	path, err := q.program(name)
	if err != nil {
		return "", err
	}
	if q.Runs != nil {
		q.Runs(append([]string{name}, args...))
	}
	ctx, cancel := context.WithTimeout(ctx, commandDeadline)
	defer cancel()
	out, words := &head{limit: commandOutput}, &head{limit: helperStderr}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.Stdout, cmd.Stderr = out, words
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	switch {
	case err == nil:
		return out.kept.String(), nil
	case ctx.Err() != nil:
		err = errors.New("no answer in time")
	case words.kept.Len() > 0:
		said, _, _ := strings.Cut(strings.TrimSpace(words.kept.String()), "\n") // nft underlines the position in the lines after it
		err = fmt.Errorf("%w: %s", err, said)
	}
	return out.kept.String(), fmt.Errorf("%s: %w", name, err)
}

func (q CheckQuery) program(name string) (string, error) {
	for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} {
		path := filepath.Join(q.Root, dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path, nil
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("%s: %w", name, err)
		}
	}
	return "", fmt.Errorf("%s: %w", name, errNotInstalled)
}

// at returns the path of a file of the host below Root.
func (q CheckQuery) at(path string) string { return filepath.Join(q.Root, path) }

// has reports whether the host has a file at the path.
func (q CheckQuery) has(path string) bool {
	_, err := os.Stat(q.at(path))
	return err == nil
}
