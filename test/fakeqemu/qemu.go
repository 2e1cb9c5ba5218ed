package fakeqemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// says begins what it says of itself.
const says = "fake-qemu:"

// Main is the program. It returns only when it was asked for its version.
func Main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println("QEMU emulator version 7.2.0 (fake)")
		return
	}
	q := &fake{manners: strings.Split(option("-fake"), ",")}
	q.atOnce()
	q.begin()
	if q.has("ssh") || q.has("echoes") {
		go q.answerSSH()
	}
	if q.has("agent") {
		go (&fakeAgent{q}).answer()
	}
	monitor := socketFD("qmp")
	if monitor != 0 {
		fail(unix.Listen(int(monitor), 1)) // as QEMU does, whatever the backlog was
	}
	l, err := net.FileListener(os.NewFile(monitor, "qmp"))
	fail(err)
	go q.endOnSignal()
	for {
		conn, err := l.Accept()
		fail(err)
		q.serve(conn)
	}
}

// answerSSH is a guest's sshd at the host's end of the first forward, as far as
// its first words. With the manners for it, it then gives back what it gets, to the end.
func (q *fake) answerSSH() {
	address := regexp.MustCompile(`tcp:([0-9.]+:\d+)-:22`).FindStringSubmatch(option("-netdev"))[1]
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	fail(err)
	for {
		conn, err := l.Accept()
		fail(err)
		fmt.Fprint(conn, "SSH-2.0-fake\r\n")
		if q.has("echoes") {
			_, _ = io.Copy(conn, conn)
			fmt.Fprint(conn, "bye\n")
		}
		conn.Close()
	}
}

// leave ends this process at once: os.Exit would wait a second for the race detector.
func leave(code int) {
	_, _, _ = syscall.Syscall(syscall.SYS_EXIT_GROUP, uintptr(code), 0, 0)
}

type fake struct {
	manners []string
	watch   *watch   // nil: nobody wants to know
	pidfile *os.File // the lock ends when it is closed
	served  int      // clients so far
}

func (q *fake) has(manner string) bool { return slices.Contains(q.manners, manner) }

// atOnce is what happens before anything else does.
func (q *fake) atOnce() {
	switch {
	case q.has("exits-0"):
		leave(0)
	case q.has("exits-3"):
		time.Sleep(50 * time.Millisecond)
		fmt.Fprint(os.Stderr, says+" no such machine\n\x1b]0;owned\a\x1b[31mred\u202eder\n")
		leave(3)
	case q.has("has-no-spice"):
		fmt.Fprintln(os.Stderr, says, "-spice "+option("-spice")+": spice support is disabled")
		leave(1)
	case q.has("killed"):
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case q.has("tells"):
		tell()
		leave(1)
	}
}

// tell writes what this process inherited to its standard error.
func tell() {
	for fd := range 256 {
		path := make([]byte, 256)
		n, err := syscall.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd), path)
		if err != nil || isRuntimes(string(path[:n])) {
			continue
		}
		name, _, _ := strings.Cut(string(path[:n]), ":")
		fmt.Fprintf(os.Stderr, "fd %d: %s\n", fd, name)
	}
	for _, variable := range os.Environ() {
		fmt.Fprintln(os.Stderr, "env:", variable)
	}
	directory, _ := os.Getwd()
	session, _ := unix.Getsid(0)
	fmt.Fprintln(os.Stderr, "directory:", directory)
	fmt.Fprintln(os.Stderr, "leads its session:", session == os.Getpid())
}

// isRuntimes tells the files that the Go runtime opens for itself: its poller, and the limits of its cgroup.
func isRuntimes(path string) bool {
	return strings.HasPrefix(path, "anon_inode:[event") || strings.HasPrefix(path, "/sys/fs/cgroup/")
}

// begin does all that QEMU does before it listens.
func (q *fake) begin() {
	if late := option("-fake-late"); late != "" {
		d, err := time.ParseDuration(late)
		fail(err)
		time.Sleep(d)
	}
	if dir := option("-fake-watch"); dir != "" {
		q.watch = newWatch(dir, strings.TrimPrefix(option("-name"), "guest="))
	}
	q.lock(option("-pidfile"))
	if q.watch != nil {
		q.watch.begin()
	}
}

// lock does with the pid file what QEMU does (util/oslib-posix.c, qemu_write_pidfile): a file
// that was replaced between opening and locking it is opened again.
func (q *fake) lock(path string) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		fail(err)
		if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
			fmt.Fprintln(os.Stderr, says, "cannot create PID file: Cannot lock pid file:", err)
			leave(1)
		}
		ours, err1 := f.Stat()
		there, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(ours, there) {
			pid := strconv.Itoa(os.Getpid()) + "\n"
			_, err := f.WriteString(pid)
			fail(errors.Join(err, f.Truncate(int64(len(pid)))))
			q.pidfile = f
			return
		}
		fail(f.Close())
	}
}

// endOnSignal ends this process by SIGTERM.
func (q *fake) endOnSignal() {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	for range terminated {
		if !q.has("deaf-to-term") {
			q.end()
		}
	}
}

// end ends this process as QEMU does: it lets the disks go, its pid file goes, then the lock.
func (q *fake) end() {
	if q.watch != nil {
		q.watch.end()
	}
	_ = os.Remove(q.pidfile.Name())
	leave(0)
}

// serve is one client's connection to the monitor.
func (q *fake) serve(conn net.Conn) {
	defer conn.Close()
	q.served++
	switch {
	case q.has("silent"), q.has("silent-later") && q.served > 1:
		_, _ = io.Copy(io.Discard, conn)
		return
	case q.has("babbles"):
		fmt.Fprint(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
		_, _ = io.Copy(io.Discard, conn)
		return
	}
	release := `"minor": 2, "major": 7`
	if q.has("old") {
		release = `"minor": 1, "major": 7`
	}
	fmt.Fprintln(conn, `{"QMP": {"version": {"qemu": {"micro": 0, `+release+`}, "package": ""}, "capabilities": []}}`)
	if q.has("hangs-up") {
		return
	}
	commands := json.NewDecoder(conn)
	for {
		var command struct {
			Execute string
			ID      json.RawMessage
		}
		if commands.Decode(&command) != nil {
			return
		}
		if q.has("floods") {
			_, _ = io.WriteString(conn, strings.Repeat(`{"event": "RTC_CHANGE", "data": {"offset": 1}, "timestamp": {"seconds": 1, "microseconds": 1}}`+"\n", 1000))
		}
		if q.has("hostile") && command.Execute == "query-error" {
			fmt.Fprintf(conn, `{"error": {"class": "Generic\u001b[2JError", "desc": "no\u001b]0;owned\u0007\u202e"}, "id": %s}`+"\n", command.ID)
			continue
		}
		fmt.Fprintf(conn, "{\"return\": %s, \"id\": %s}\n", q.answer(command.Execute), command.ID)
		q.obey(conn, command.Execute)
	}
}

func (q *fake) answer(command string) string {
	switch {
	case command == "query-status" && q.has("paused"):
		return `{"status": "io-error", "singlestep": false, "running": false}`
	case command == "query-block" && q.has("paused"):
		return `[{"device": "", "io-status": "ok", "inserted": {"file": "/disk0.qcow2"}}, {"io-status": "nospace", "inserted": {"file": "/a` + "\u009b" + `/disk1.qcow2"}}]`
	case command == "query-chardev" && q.has("agent"):
		return `[{"label": "qga", "filename": "", "frontend-open": true}]`
	case command == "query-chardev":
		return `[]`
	case command == "query-status":
		return `{"status": "running", "singlestep": false, "running": true}`
	case q.has("hostile") && command == "query-name":
		return `{"name": "a` + "\u202e\u009b" + `b\u001b[2J <&>", "big": 12345678901234567890.10}`
	case q.has("hostile") && command == "query-gone":
		leave(1)
	}
	return "{}"
}

func (q *fake) obey(conn net.Conn, command string) {
	switch {
	case command == "system_powerdown" && q.has("marks"):
		_ = os.WriteFile(filepath.Join(filepath.Dir(q.pidfile.Name()), "button"), nil, 0o600)
		if q.has("obeys") {
			q.end()
		}
	case command == "system_powerdown" && !q.has("deaf-to-button"), command == "quit" && !q.has("deaf-to-quit"):
		fmt.Fprintln(conn, `{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}, "timestamp": {"seconds": 1, "microseconds": 1}}`)
		q.end()
	}
}

// option is the word after an option on this program's command line.
func option(name string) string {
	i := slices.Index(os.Args, name)
	if i < 0 || i+1 == len(os.Args) {
		return ""
	}
	return os.Args[i+1]
}

// socketFD is the descriptor that a character device listens on.
func socketFD(id string) uintptr {
	for _, word := range os.Args {
		if rest, ok := strings.CutPrefix(word, "socket,id="+id+",fd="); ok {
			number, _, _ := strings.Cut(rest, ",")
			fd, err := strconv.Atoi(number)
			fail(err)
			return uintptr(fd)
		}
	}
	return 0
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, says, err)
		os.Exit(99)
	}
}
