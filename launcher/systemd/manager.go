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

// Manager is a user's systemd.
type Manager struct {
	Environ []string            // systemctl's environment, whose XDG_RUNTIME_DIR says whose manager is asked; nil: this process's
	Verbose func(argv []string) // is told each command
}

// How long the manager may take: for an answer, which it has in milliseconds,
// and for a job, which the template's own timeouts end.
const (
	askDeadline = 5 * time.Second
	jobDeadline = 4 * time.Minute // a stop, then a start, each as long as the template lets it
)

// Reachable tells whether a user manager is there to be asked. It listens on
// this socket for as long as it lives; runtime is the user's runtime directory, or empty.
func Reachable(runtime string) bool {
	if runtime == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(runtime, "systemd/private"))
	return err == nil
}

// CallError is a systemctl that failed.
type CallError struct {
	Argv  []string
	Words string // its own, in one line; may be empty
	Err   error
}

// Error is the command and its words.
func (e *CallError) Error() string {
	return strings.Join(e.Argv, " ") + ": " + cmp.Or(e.Words, e.Err.Error())
}

// Unwrap is how the program ended.
func (e *CallError) Unwrap() error { return e.Err }

// call runs one systemctl to its end, or to the deadline.
func (m Manager) call(ctx context.Context, deadline time.Duration, words ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	argv := append([]string{"systemctl", "--user"}, words...)
	m.Verbose(argv)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = m.Environ
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // the terminal's Ctrl-C is for this process, which ends it then
	cmd.WaitDelay = time.Second                           // a child of its own that keeps the pipes open
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

// Reload makes the manager read its unit files anew.
func (m Manager) Reload(ctx context.Context) error {
	_, err := m.call(ctx, jobDeadline, "daemon-reload")
	return err
}

// ResetFailed makes the manager forget that a unit failed, and how often it was started.
func (m Manager) ResetFailed(ctx context.Context, unit string) error {
	_, err := m.call(ctx, askDeadline, "reset-failed", unit)
	return err
}

// Enable makes a unit start with the manager.
func (m Manager) Enable(ctx context.Context, unit string) error {
	_, err := m.call(ctx, askDeadline, "--quiet", "enable", unit)
	return err
}

// Disable takes that back.
func (m Manager) Disable(ctx context.Context, unit string) error {
	_, err := m.call(ctx, askDeadline, "--quiet", "disable", unit)
	return err
}

// Verb is what a job does.
type Verb string

// The verbs.
const (
	Start   Verb = "start"
	Stop    Verb = "stop"
	Restart Verb = "restart"
)

// Do has the manager do something with a unit, and waits until it is done.
func (m Manager) Do(ctx context.Context, verb Verb, unit string) error {
	_, err := m.call(ctx, jobDeadline, string(verb), unit)
	return err
}

// Begin is Do, waited for later: with what it returns, which must be called.
func (m Manager) Begin(ctx context.Context, verb Verb, unit string) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- m.Do(ctx, verb, unit) }()
	return func() error { return <-done }
}

// Environment is what the manager gives to the services that it starts.
func (m Manager) Environment(ctx context.Context) (map[string]string, error) {
	out, err := m.call(ctx, askDeadline, "show-environment")
	return parseEnvironment(out), err
}

// parseEnvironment reads the lines of systemctl show-environment: KEY=VALUE,
// where a value that a shell would take apart is written as $'…'.
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

// unquote undoes the escapes of C that systemd writes; what is none of them is left as it is.
func unquote(text string) string {
	text = strings.ReplaceAll(text, `\'`, `'`)
	text = strings.ReplaceAll(text, `"`, `\"`)
	if plain, err := strconv.Unquote(`"` + text + `"`); err == nil {
		return plain
	}
	return text
}
