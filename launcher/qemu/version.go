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

// The oldest QEMU that supports the command line of [Args].
const (
	oldestMajor = 7
	oldestMinor = 2
)

// OldQEMUError says that a VM's QEMU is too old.
type OldQEMUError struct {
	Binary       string
	Major, Minor int
}

// Error returns the program, its release and the rule.
func (e *OldQEMUError) Error() string {
	return fmt.Sprintf("%s: QEMU %d.%d: must be %d.%d or later", e.Binary, e.Major, e.Minor, oldestMajor, oldestMinor)
}

// checkRelease returns an *OldQEMUError if the release is known and too old.
func checkRelease(binary string, major, minor int) error {
	if major == 0 || major > oldestMajor || major == oldestMajor && minor >= oldestMinor {
		return nil
	}
	return &OldQEMUError{binary, major, minor}
}

// versionDeadline is how long a QEMU may take to print its version; it usually takes 30 ms.
const versionDeadline = 5 * time.Second

// askVersion returns the first line of a QEMU's --version: "QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)".
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

// qemuEnv returns QEMU's environment.
func qemuEnv() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"}
}

// bounded keeps the beginning of what is written, and discards the rest.
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

// orTooOld returns an *OldQEMUError if a QEMU that ended at its start is too old to understand the command line, and
// otherwise died. The version is queried only after a failure, so that it does not delay other starts.
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
