package netsetup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// helperGroup returns the group that may run the helper; closed is true if only that group, and root, may.
func helperGroup(helper string) (gid uint32, closed bool) {
	var st unix.Stat_t
	if helper == "" || os.Geteuid() == 0 || unix.Stat(helper, &st) != nil {
		return 0, false
	}
	return st.Gid, st.Mode&unix.S_IXOTH == 0 && st.Uid != uint32(os.Geteuid())
}

// checkGroup checks the groups of this process. A login sets them, so the process lacks a group that the user was
// added to since.
func checkGroup(_ context.Context, _ CheckQuery, r *Report) Result {
	gid, closed := helperGroup(r.Helper)
	if !closed {
		return skipped("no group is needed")
	}
	if inGroup(gid) {
		return ok("this process is in group " + GroupName(gid))
	}
	detail := "this process is not in group " + GroupName(gid)
	return fail(&HelperError{Failure{What: "bridge helper " + r.Helper, Cause: ErrHelperForbidden, Detail: detail},
		Target{Bridge: r.Bridge.Name}, accessTo(r.Helper), r.Helper})
}

// checkManager checks the groups of the user's systemd, which it keeps from its start. With lingering it survives
// logins, and then it and its services lack a group that the user was added to since.
func checkManager(_ context.Context, q CheckQuery, r *Report) Result {
	gid, closed := helperGroup(r.Helper)
	if !closed {
		return skipped("no group is needed")
	}
	pid := q.userManager(os.Getuid())
	switch {
	case pid == 0:
		return skipped("no systemd of this user's runs")
	case !inGroup(gid) && !joinedLater(gid):
		return skipped("this user is not in group " + GroupName(gid))
	}
	status := string(readSome(q.at(fmt.Sprintf("/proc/%d/status", pid)), 1<<16))
	if slices.Contains(groupsIn(status), strconv.FormatUint(uint64(gid), 10)) {
		return ok(fmt.Sprintf("systemd --user, pid %d, is in group %s", pid, GroupName(gid)))
	}
	what := fmt.Sprintf("systemd --user, pid %d", pid)
	return warn(&Failure{What: what, Cause: ErrStaleManager, Detail: "group " + GroupName(gid)})
}

// groupsIn returns the supplementary groups and the effective group in a process's status file, proc_pid_status(5).
func groupsIn(status string) []string {
	var groups []string
	for line := range strings.Lines(status) {
		key, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		switch {
		case key == "Groups":
			groups = append(groups, fields...)
		case key == "Gid" && len(fields) > 1:
			groups = append(groups, fields[1])
		}
	}
	return groups
}

// userManager returns the process ID of a user's `systemd --user`, or 0 if none is found.
func (q CheckQuery) userManager(uid int) int {
	files, _ := filepath.Glob(q.at("/proc/[0-9]*/cmdline"))
	for _, file := range files {
		words := strings.Split(string(readSome(file, 4096)), "\x00")
		var st unix.Stat_t
		if len(words) < 2 || filepath.Base(words[0]) != "systemd" || words[1] != "--user" || unix.Stat(filepath.Dir(file), &st) != nil || int(st.Uid) != uid {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			return pid
		}
	}
	return 0
}
