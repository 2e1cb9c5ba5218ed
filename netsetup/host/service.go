package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/netsetup"
)

// underSystemd says whether systemd is the init: sd_booted(3).
func underSystemd() bool {
	info, err := os.Lstat("/run/systemd/system")
	return err == nil && info.IsDir()
}

// lookUnit is "enabled active" for one that is both; empty when there is no such unit.
func lookUnit(ctx context.Context, name string) (string, error) {
	if !underSystemd() {
		return "", nil
	}
	out, err := run(ctx, "", "systemctl", "show", "--timestamp=unix", "--property=LoadState,UnitFileState,ActiveState,ActiveEnterTimestamp", name)
	if err != nil {
		return "", err
	}
	properties := map[string]string{}
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		properties[key] = value
	}
	if properties["LoadState"] == "not-found" {
		return "", nil
	}
	state := properties["UnitFileState"] + " " + properties["ActiveState"]
	if properties["ActiveState"] == "active" && olderThanItsFiles(name, properties["ActiveEnterTimestamp"]) {
		state += " outdated"
	}
	return state, nil
}

// olderThanItsFiles says whether a unit was started, at "@SECONDS", before one of its files was written: a setup that
// was killed between the two leaves that.
func olderThanItsFiles(name, started string) bool {
	seconds, err := strconv.ParseInt(strings.TrimPrefix(started, "@"), 10, 64)
	if err != nil {
		return false
	}
	files := []string{filepath.Join("/etc/systemd/system", name)}
	switch name {
	case netsetup.NetUnit:
		files = append(files, programPath)
	case dhcpUnit:
		configs, _ := filepath.Glob(netsetup.DNSConfig("*")) // the pattern is a constant
		files = append(files, configs...)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err == nil && info.ModTime().Unix() > seconds {
			return true
		}
	}
	return false
}

// setUnit enables and starts a unit, again where it runs, or puts it back to what it was before.
func setUnit(ctx context.Context, name, state string) error {
	now, err := lookUnit(ctx, name)
	if err != nil || now == "" && state == "" {
		return err
	}
	words := strings.Fields(state)
	commands := [][]string{{"daemon-reload"}}
	if len(words) > 0 && words[0] == "enabled" {
		commands = append(commands, []string{"enable", "--quiet", name})
	} else {
		commands = append(commands, []string{"disable", "--quiet", name})
	}
	if len(words) > 1 && words[1] == "active" {
		commands = append(commands, []string{"restart", name})
	} else {
		commands = append(commands, []string{"stop", name})
	}
	for _, c := range commands {
		if _, err := run(ctx, "", append([]string{"systemctl"}, c...)...); err != nil {
			return withWords(err, lastWords(ctx, name))
		}
	}
	if state == "" { // of one that did not fail there is nothing to forget, and systemctl says so
		_, _, _ = answers(ctx, "systemctl", "reset-failed", name)
	}
	return nil
}

// withWords adds what was said to an error, if anything was.
func withWords(err error, words string) error {
	if words == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, words)
}

// lastWords are what the unit's own processes said in the end; systemctl only says that they said something.
func lastWords(ctx context.Context, name string) string {
	id, _, _ := answers(ctx, "systemctl", "show", "--property=InvocationID", "--value", name)
	words, _, _ := answers(ctx, "journalctl", "--quiet", "--lines=3", "--output=cat", "_SYSTEMD_INVOCATION_ID="+strings.TrimSpace(id))
	return strings.Join(strings.Fields(words), " ")
}

const running = "running"

// lookDaemon finds the dnsmasq that runs with a configuration, on a host without systemd.
func lookDaemon(config string) (string, error) {
	if daemonOf(config) == 0 {
		return "", nil
	}
	return running, nil
}

// daemonOf is the pid of the dnsmasq with that configuration, 0 for none.
func daemonOf(config string) int {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline") // the pattern is a constant
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		words := strings.Split(string(data), "\x00")
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file))) // digits, by the pattern
		if len(words) > 1 && words[1] == "--conf-file="+config && netsetup.RunsProgram("/", pid, "dnsmasq") {
			return pid
		}
	}
	return 0
}

// setDaemon starts dnsmasq, which goes into the background when it has its sockets, or ends it.
func setDaemon(ctx context.Context, config, state string) error {
	if err := endDaemon(ctx, config); err != nil || state == "" {
		return err
	}
	_, err := run(ctx, "", "dnsmasq", "--conf-file="+config)
	return err
}

func endDaemon(ctx context.Context, config string) error {
	pid := daemonOf(config)
	if pid == 0 {
		return nil
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if daemonOf(config) != pid { // the number was another's by the time it was held
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGTERM, nil, 0); err != nil {
		return err
	}
	return awaitEnd(ctx, fd)
}

// awaitEnd waits for a process's end: a pidfd is readable then, pidfd_open(2).
func awaitEnd(ctx context.Context, fd int) error {
	deadline := time.Now().Add(10 * time.Second)
	for ctx.Err() == nil {
		left := time.Until(deadline)
		if left <= 0 {
			return errors.New("dnsmasq does not end")
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if n > 0 {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
	}
	return ctx.Err()
}

// The states of our units.
const (
	unitActive = "enabled active"
	unitIdle   = "enabled inactive"
)
