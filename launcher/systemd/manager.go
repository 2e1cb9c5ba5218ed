package systemd

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Manager is the systemd user manager of one user.
type Manager struct {
	Environ []string            // systemctl's environment; its XDG_RUNTIME_DIR selects the manager; nil: this process's environment
	Verbose func(argv []string) // called with each command; may be nil
}

// How long the manager may take: to reply, which takes it milliseconds, and to finish a job, which the timeouts in
// the template limit.
const (
	askDeadline = 5 * time.Second
	jobDeadline = 4 * time.Minute // a stop and a start, each up to the template's timeout
)

// Reachable reports whether the user manager runs: it listens on this socket as long as it lives. runtime is the
// user's runtime directory, or empty.
func Reachable(runtime string) bool {
	if runtime == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(runtime, "systemd/private"))
	return err == nil
}

// CallError says that systemctl failed.
type CallError struct {
	Argv  []string
	Words string // its messages, in one line; may be empty
	Err   error
}

// Error returns the command and its messages.
func (e *CallError) Error() string {
	return strings.Join(e.Argv, " ") + ": " + cmp.Or(e.Words, e.Err.Error())
}

// Unwrap returns how the program ended.
func (e *CallError) Unwrap() error { return e.Err }

// call runs systemctl until it ends or the deadline passes.
func (m Manager) call(ctx context.Context, deadline time.Duration, words ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	argv := append([]string{"systemctl", "--user"}, words...)
	m.Verbose(argv)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = m.Environ
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C on the terminal goes to this process, which then ends systemctl
	cmd.WaitDelay = time.Second                           // for a child of systemctl that keeps the pipes open
	err := cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			return "", &CallError{argv, fmt.Sprintf("no answer after %s", deadline), err}
		}
	}
	if err != nil {
		return "", &CallError{argv, strings.Join(strings.Fields(messages.String()), " "), err}
	}
	return out.String(), nil
}

// Reload makes the manager read its unit files again.
func (m Manager) Reload(ctx context.Context) error {
	_, err := m.call(ctx, jobDeadline, "daemon-reload")
	return err
}

// ResetFailed resets the failed state of a unit, and its count of starts.
func (m Manager) ResetFailed(ctx context.Context, unit string) error {
	_, err := m.call(ctx, askDeadline, "reset-failed", unit)
	return err
}

// Enable makes the manager start a unit when it starts.
func (m Manager) Enable(ctx context.Context, unit string) error {
	_, err := m.call(ctx, askDeadline, "--quiet", "enable", unit)
	return err
}

// Disable undoes Enable.
func (m Manager) Disable(ctx context.Context, unit string) error {
	_, err := m.call(ctx, askDeadline, "--quiet", "disable", unit)
	return err
}

// Verb is the kind of a job.
type Verb string

// The kinds of jobs.
const (
	Start   Verb = "start"
	Stop    Verb = "stop"
	Restart Verb = "restart"
)

// Do runs a job for a unit and waits until it is done.
func (m Manager) Do(ctx context.Context, verb Verb, unit string) error {
	_, err := m.call(ctx, jobDeadline, string(verb), unit)
	return err
}

// Begin starts a job like Do. The caller must call wait, which waits until the job is done.
func (m Manager) Begin(ctx context.Context, verb Verb, unit string) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- m.Do(ctx, verb, unit) }()
	return func() error { return <-done }
}

// Environment returns the environment that the manager passes to its services.
func (m Manager) Environment(ctx context.Context) (map[string]string, error) {
	out, err := m.call(ctx, askDeadline, "show-environment")
	return parseEnvironment(out), err
}

// parseEnvironment parses the lines of systemctl show-environment: KEY=VALUE, with a value that a shell would split
// written as $'…'.
func parseEnvironment(text string) map[string]string {
	environment := map[string]string{}
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !found {
			continue
		}
		if inner, quoted := strings.CutPrefix(value, "$'"); quoted {
			value = unquote(strings.TrimSuffix(inner, "'"))
		}
		environment[key] = value
	}
	return environment
}

// unquote decodes the C escapes that systemd writes, and leaves other sequences unchanged.
func unquote(text string) string {
	text = strings.ReplaceAll(text, `\'`, `'`)
	text = strings.ReplaceAll(text, `"`, `\"`)
	if plain, err := strconv.Unquote(`"` + text + `"`); err == nil {
		return plain
	}
	return text
}
