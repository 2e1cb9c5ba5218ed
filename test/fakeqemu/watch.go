package fakeqemu

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// watch is what a fake QEMU holds to see what must never be.
type watch struct {
	dir   string
	name  string // the VM's
	alone *os.File
	disks []*os.File
}

// newWatch opens the VM's lock, before the pid file: at a process's end its files are closed in the order of
// their numbers, and this one must be free when the next QEMU has got the pid file.
func newWatch(dir, name string) *watch {
	f, err := os.OpenFile(filepath.Join(dir, name+".alone"), os.O_RDWR|os.O_CREATE, 0o600)
	fail(err)
	return &watch{dir: dir, name: name, alone: f}
}

// begin marks a second QEMU of the VM, and opens the disks as QEMU does, to tell at the end whether one was removed.
func (w *watch) begin() {
	if unix.Flock(int(w.alone.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		w.mark("a second QEMU")
	}
	for i, word := range os.Args {
		if word != "-blockdev" {
			continue
		}
		var node struct{ File struct{ Filename string } }
		fail(json.Unmarshal([]byte(os.Args[i+1]), &node))
		f, err := os.OpenFile(node.File.Filename, os.O_RDWR, 0)
		fail(err)
		w.disks = append(w.disks, f)
	}
}

// end lets go of the disks, which from here on another QEMU may use.
func (w *watch) end() {
	for _, disk := range w.disks {
		var stat unix.Stat_t
		if err := unix.Fstat(int(disk.Fd()), &stat); err != nil || stat.Nlink == 0 {
			w.mark("removed while in use: " + disk.Name())
		}
	}
	_ = w.alone.Close()
}

// mark writes down what must never be. There is no one to tell when that fails, but the log.
func (w *watch) mark(what string) {
	fmt.Fprintln(os.Stderr, says, what)
	f, err := os.OpenFile(filepath.Join(w.dir, w.name+".marks"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err == nil {
		_, err = fmt.Fprintf(f, "pid %d: %s\n", os.Getpid(), what)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, says, err)
	}
}
