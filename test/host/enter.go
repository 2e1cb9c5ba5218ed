package host

import "strconv"

// Outside is the command line by which the outside world runs argv: with this
// machine's programs.
func (h *Host) Outside(argv ...string) []string {
	return append([]string{"nsenter", "--target", h.pid(), "--mount", "--net", "--pid", "--"}, argv...)
}

// Enter is the command line by which somebody with all rights runs argv from
// beside the host. It needs nothing of the host but that it is on, and its
// systemd does not know of it.
func (h *Host) Enter(argv ...string) []string {
	enter := h.Outside("nsenter", "--target", strconv.Itoa(h.leader), "--all", "--",
		"env", "-i", "--chdir=/root", "HOME=/root", "USER=root", "LANG=C.UTF-8", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin")
	return append(enter, argv...)
}

// Root is the command line by which the host's root runs argv, in a unit of its own.
func (h *Host) Root(argv ...string) []string {
	return append(h.unit("root", "--"), argv...)
}

// Login is the command line by which a user of the host runs argv: in a session
// of its own, through PAM and logind, so with the groups that the user is in by
// now, a runtime directory and a user manager. When argv ends, the user has
// logged out.
func (h *Host) Login(user string, argv ...string) []string {
	// Without the class logind takes what has no terminal for a cron job.
	login := h.unit(user, "--property=PAMName=login", "--setenv=XDG_SESSION_CLASS=user", "--", "bash", "--login", "-c", `exec "$@"`, "bash")
	return append(login, argv...)
}

// unit is systemd-run with its standard streams, as a user and in its home; its
// exit code is that of what it runs.
func (h *Host) unit(user string, args ...string) []string {
	run := h.Enter("systemd-run", "--quiet", "--collect", "--pipe", "--wait",
		"--property=User="+user, "--property=WorkingDirectory=~")
	return append(run, args...)
}
