package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// Orphan is a running QEMU of this user whose pid file, or whole run directory, was deleted: by a cleanup, or after
// the last logout. Its monitor cannot be reached.
type Orphan struct {
	Name    string // the VM's
	PID     int
	Started time.Time
}

// OrphanError says that an orphan prevents an operation.
type OrphanError struct{ Orphan }

// Error returns the process.
func (e *OrphanError) Error() string {
	return fmt.Sprintf("an orphan runs: QEMU, pid %d, whose pid file is gone", e.PID)
}

// Orphans returns the orphans among QEMUs.
func Orphans(all []QEMU) []Orphan {
	var lost []Orphan
	for _, q := range all {
		path := filepath.Join(q.RunDir, pidName)
		if holder, held := writeLock(path); held && holder == q.PID {
			continue // its pid file is in place, as for most: no need to check all its open files
		}
		if started, ok := lostPIDFile(q.PID, path); ok {
			lost = append(lost, Orphan{Name: q.Name, PID: q.PID, Started: started})
		}
	}
	return lasting(lost)
}

// FindOrphan returns the orphan of a VM, if it has one.
func FindOrphan(vm vms.VM) (Orphan, bool, error) {
	all, err := QEMUs()
	if err != nil {
		return Orphan{}, false, err
	}
	found := Orphans(slices.DeleteFunc(all, func(q QEMU) bool { return !q.IsOf(vm) }))
	if len(found) > 0 {
		return found[0], true, nil
	}
	return Orphan{}, false, nil
}

// lasting returns those that are not about to end. It waits for all of them at once, since after a logout all VMs of
// a user may be orphans.
func lasting(lost []Orphan) []Orphan {
	end := make([]bool, len(lost))
	var all sync.WaitGroup
	for i, o := range lost {
		all.Go(func() { end[i] = ends(o.PID) })
	}
	all.Wait()
	var orphans []Orphan
	for i, o := range lost {
		if !end[i] {
			orphans = append(orphans, o)
		}
	}
	return orphans
}

// StopOrphan ends the orphan of a VM with SIGTERM, on which QEMU flushes the disks, and after five seconds with
// SIGKILL. The error wraps ErrNotRunning if there is none.
func StopOrphan(ctx context.Context, vm vms.VM) (Orphan, StopMethod, error) {
	o, ok, err := FindOrphan(vm)
	if err != nil {
		return Orphan{}, "", err
	}
	if !ok {
		return Orphan{}, "", ErrNotRunning
	}
	p, err := open(o.PID)
	if errors.Is(err, unix.ESRCH) {
		return Orphan{}, "", ErrNotRunning
	}
	if err != nil {
		return o, "", err
	}
	defer p.Close()
	// The process ID may have been reused before the process was opened.
	if q, ok := qemuOf(o.PID); !ok || !q.IsOf(vm) {
		return Orphan{}, "", ErrNotRunning
	}
	for _, s := range signals(p) {
		ended, err := s.take(ctx, p)
		if err != nil || ended {
			return o, s.method, err
		}
	}
	return o, Kill, fmt.Errorf("pid %d: %w", p.PID, ErrWillNotEnd)
}

// NoOrphan returns an *OrphanError if a VM has an orphan: a second QEMU would write to the same disks.
func NoOrphan(vm vms.VM) error {
	o, ok, err := FindOrphan(vm)
	if ok {
		return &OrphanError{o}
	}
	return err
}

// lastMoment is longer than QEMU lives after it has removed its pid file, which is the last thing it does.
const lastMoment = 500 * time.Millisecond

// ends reports whether a process is about to end, so that it is no orphan.
func ends(pid int) bool {
	p, err := open(pid)
	if err != nil {
		return errors.Is(err, unix.ESRCH)
	}
	defer p.Close()
	ctx, cancel := context.WithTimeout(context.Background(), lastMoment)
	defer cancel()
	return p.Wait(ctx) == nil
}

// lostPIDFile reports whether a QEMU has a pid file open that is not the one at its path, and when that was written.
// A QEMU without an open pid file has just started.
func lostPIDFile(pid int, path string) (time.Time, bool) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return time.Time{}, false
	}
	for _, entry := range entries {
		file := filepath.Join(dir, entry.Name())
		link, err := os.Readlink(file)
		if err != nil || filepath.Base(strings.TrimSuffix(link, " (deleted)")) != pidName {
			continue
		}
		has, err := os.Stat(file)
		if err != nil {
			continue
		}
		there, err := os.Stat(path)
		return has.ModTime(), err != nil || !os.SameFile(has, there)
	}
	return time.Time{}, false
}
