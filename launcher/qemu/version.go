package qemu

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// The oldest QEMU that the command line of [Args] is written for.
const (
	oldestMajor = 7
	oldestMinor = 2
)

// OldQEMUError says that the QEMU that a VM asks for is older than the oldest that will do.
type OldQEMUError struct {
	Binary       string
	Major, Minor int
}

// Error names the program, its release and the rule.
func (e *OldQEMUError) Error() string {
	return fmt.Sprintf("%s: QEMU %d.%d: must be %d.%d or later", e.Binary, e.Major, e.Minor, oldestMajor, oldestMinor)
}

// checkRelease is an *OldQEMUError for a release that is too old. One that is not known is not.
func checkRelease(binary string, major, minor int) error {
	if major == 0 || major > oldestMajor || major == oldestMajor && minor >= oldestMinor {
		return nil
	}
	return &OldQEMUError{binary, major, minor}
}

// versionDeadline is how long a QEMU may take to print its version, which takes some 30 ms.
const versionDeadline = 5 * time.Second

// askVersion runs a QEMU for the first line of its --version: "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)".
func askVersion(ctx context.Context, binary string) (line string, major, minor int, err error) {
	ctx, cancel := context.WithTimeout(ctx, versionDeadline)
	defer cancel()
	said := &strings.Builder{}
	cmd := exec.CommandContext(ctx, binary, "--version")
	cmd.Dir, cmd.Env = "/", qemuEnv()
	cmd.Stdout = &bounded{kept: said, room: 4096}
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return "", 0, 0, fmt.Errorf("%s --version: %w", binary, err)
	}
	line, _, _ = strings.Cut(said.String(), "\n")
	numbers := regexp.MustCompile(`version (\d{1,4})\.(\d{1,4})`).FindStringSubmatch(line)
	if numbers == nil {
		return line, 0, 0, nil
	}
	major, _ = strconv.Atoi(numbers[1])
	minor, _ = strconv.Atoi(numbers[2])
	return line, major, minor, nil
}

// qemuEnv is QEMU's environment.
func qemuEnv() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"}
}

// bounded keeps the beginning of what is written, and takes the rest in silence.
type bounded struct {
	kept *strings.Builder
	room int
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.room)
	b.kept.Write(p[:n])
	b.room -= n
	return len(p), nil
}

// orTooOld is an error of a QEMU that ended at its start, or the cause of it: one that is too old does not understand
// the command line. It is asked only then, so that a start that works does not wait for it.
func orTooOld(binary string, died error) error {
	_, major, minor, err := askVersion(context.Background(), binary)
	if err != nil {
		return died
	}
	if old := checkRelease(binary, major, minor); old != nil {
		return fmt.Errorf("%w: %w", old, died)
	}
	return died
}
