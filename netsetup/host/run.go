package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/netsetup"
)

// searched are the directories that root's programs are taken from, whatever PATH says.
func searched() []string { return []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"} }

// program is the path of a program of the system's, empty when it is not there.
func program(name string) string {
	for _, dir := range searched() {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

const (
	patience = 90 * time.Second // bounds every command: the slowest, a unit's start, takes seconds
	grace    = time.Second      // after a command's end, for whoever else holds its output
)

// A commandError is a command of the system's that ended badly.
type commandError struct {
	argv  []string
	words string // its stderr
	err   error
}

func (e *commandError) Error() string { return strings.Join(e.argv, " ") + ": " + e.cause() }

// cause is why, without the command.
func (e *commandError) cause() string {
	if e.words == "" {
		return e.err.Error()
	}
	return fmt.Sprintf("%v: %s", e.err, e.words)
}

func (e *commandError) Unwrap() error { return e.err }

// run runs a program of the system's with an environment of its own, in "/", and gives what it printed. Nothing of the
// caller's environment reaches it. As root it runs only what is [netsetup.Trusted]. Its error has the program's own
// words. A program that ends well and leaves another behind has ended well; with one that takes too long, its whole
// process group goes.
func run(ctx context.Context, stdin string, argv ...string) (string, error) {
	path := program(argv[0])
	if path == "" {
		return "", &commandError{argv: argv, err: exec.ErrNotFound}
	}
	if os.Geteuid() == 0 {
		if err := netsetup.Trusted(path); err != nil {
			return "", err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	cmd.Dir, cmd.Env = "/", []string{"PATH=" + strings.Join(searched(), ":"), "LC_ALL=C"}
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = grace
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		return stdout.String(), nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return stdout.String(), &commandError{argv: argv, words: strings.Join(strings.Fields(stderr.String()), " "), err: err}
}

// answers runs a command that tells something by its exit code: no error, and no output, when it ends badly.
func answers(ctx context.Context, argv ...string) (out string, yes bool, err error) {
	out, err = run(ctx, "", argv...)
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		return "", false, nil
	}
	return out, err == nil, err
}
