// Command fakeqemu stands in for QEMU where a test starts and ends hundreds: it
// is there within milliseconds. It does with its pid file, its monitor and its
// end what QEMU does, and watches over what must never be:
//
//	-fake DIR       where it keeps a lock of each VM, and writes a mark, NAME.marks, when
//	                another QEMU of the same VM has that lock, or a disk is gone at the end
//	-fake-late D    what it needs from its start to the lock on its pid file
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("fakeqemu: ")
	q, err := start()
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(q.serve())
}

// qemu is what lives from the start to the end.
type qemu struct {
	name    string
	dir     string // of the marks; empty: none are made
	alone   *os.File
	pidfile *os.File
	disks   []*os.File
	monitor net.Listener
}

// start does all that QEMU does before it listens.
func start() (*qemu, error) {
	q := &qemu{dir: option("-fake"), name: strings.TrimPrefix(option("-name"), "guest=")}
	if late := option("-fake-late"); late != "" {
		d, err := time.ParseDuration(late)
		if err != nil {
			return nil, err
		}
		time.Sleep(d)
	}
	var err error
	if q.dir != "" {
		// Opened before the pid file: at a process's end its files are closed in the order of
		// their numbers, and this one must be free when the next QEMU has got the pid file.
		if q.alone, err = os.OpenFile(filepath.Join(q.dir, q.name+".alone"), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			return nil, err
		}
	}
	if q.pidfile, err = lockPID(option("-pidfile")); err != nil {
		return nil, fmt.Errorf("cannot create PID file: %w", err)
	}
	if q.alone != nil && unix.Flock(int(q.alone.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		q.mark("a second QEMU")
	}
	if q.disks, err = openDisks(); err != nil {
		return nil, err
	}
	q.monitor, err = listen()
	go q.endOnSignal()
	return q, err
}

// lockPID does what QEMU does (util/oslib-posix.c, qemu_write_pidfile): a file
// that was replaced between opening and locking it is opened again.
func lockPID(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}); err != nil {
			return nil, fmt.Errorf("cannot lock pid file: %w", err)
		}
		ours, err1 := f.Stat()
		there, err2 := os.Stat(path)
		if err1 == nil && err2 == nil && os.SameFile(ours, there) {
			_, err := f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
			return f, errors.Join(err, f.Truncate(int64(len(strconv.Itoa(os.Getpid()))+1)))
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

// openDisks keeps the disks open as QEMU does, to tell at the end whether one was removed.
func openDisks() ([]*os.File, error) {
	var disks []*os.File
	for i, word := range os.Args {
		if word != "-blockdev" {
			continue
		}
		var node struct{ File struct{ Filename string } }
		if err := json.Unmarshal([]byte(os.Args[i+1]), &node); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(node.File.Filename, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		disks = append(disks, f)
	}
	return disks, nil
}

// listen takes the listening socket that was inherited for the monitor.
func listen() (net.Listener, error) {
	for _, word := range os.Args {
		if rest, ok := strings.CutPrefix(word, "socket,id=qmp,fd="); ok {
			number, _, _ := strings.Cut(rest, ",")
			fd, err := strconv.Atoi(number)
			if err != nil {
				return nil, err
			}
			return net.FileListener(os.NewFile(uintptr(fd), "qmp"))
		}
	}
	return nil, errors.New("no descriptor for the monitor")
}

// serve talks to one client after the other, as QEMU does.
func (q *qemu) serve() error {
	for {
		conn, err := q.monitor.Accept()
		if err != nil {
			return err
		}
		q.talk(conn)
		_ = conn.Close()
	}
}

// talk is one client's connection. What cannot be written has no reader any more.
func (q *qemu) talk(conn net.Conn) {
	fmt.Fprintln(conn, `{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""}, "capabilities": []}}`)
	commands := json.NewDecoder(conn)
	for {
		var command struct {
			Execute string
			ID      json.RawMessage
		}
		if commands.Decode(&command) != nil {
			return
		}
		answer := "{}"
		if command.Execute == "query-status" {
			answer = `{"status": "running", "singlestep": false, "running": true}`
		}
		fmt.Fprintf(conn, "{\"return\": %s, \"id\": %s}\n", answer, command.ID)
		if command.Execute == "system_powerdown" || command.Execute == "quit" {
			fmt.Fprintln(conn, `{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-shutdown"}, "timestamp": {"seconds": 1, "microseconds": 1}}`)
			q.end()
		}
	}
}

func (q *qemu) endOnSignal() {
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	<-terminated
	q.end()
}

// end ends this process as QEMU does: it lets the disks go, its pid file goes, then the lock.
func (q *qemu) end() {
	for _, disk := range q.disks {
		var stat unix.Stat_t
		if err := unix.Fstat(int(disk.Fd()), &stat); err != nil || stat.Nlink == 0 {
			q.mark("removed while in use: " + disk.Name())
		}
	}
	_ = q.alone.Close() // from here on another one may use the disks
	_ = os.Remove(q.pidfile.Name())
	unix.Exit(0)
}

// mark writes down what must never be. There is no one to tell when that fails, but the log.
func (q *qemu) mark(what string) {
	log.Print(what)
	if q.dir == "" {
		return
	}
	f, err := os.OpenFile(filepath.Join(q.dir, q.name+".marks"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		_, err = fmt.Fprintf(f, "pid %d: %s\n", os.Getpid(), what)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		log.Print(err)
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
