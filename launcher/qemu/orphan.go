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

// Orphan is a QEMU of this user that runs on while its pid file is gone, or its
// whole run directory: somebody cleaned up, or the last login has ended. Its
// monitor cannot be reached any more.
type Orphan struct {
	Name    string // the VM's
	PID     int
	Started time.Time
}

// OrphanError says that an orphan is in the way.
type OrphanError struct{ Orphan }

// Error names the process.
func (e *OrphanError) Error() string {
	return fmt.Sprintf("an orphan runs: QEMU, pid %d, whose pid file is gone", e.PID)
}

// Orphans are the orphans among QEMUs.
func Orphans(all []QEMU) []Orphan {
	var lost []Orphan
	for _, q := range all {
		path := filepath.Join(q.RunDir, pidName)
		if holder, held := writeLock(path); held && holder == q.PID {
			continue // the file at its path is its own: nearly all of them, without a look at all their files
		}
		if started, ok := lostPIDFile(q.PID, path); ok {
			lost = append(lost, Orphan{Name: q.Name, PID: q.PID, Started: started})
		}
	}
	return lasting(lost)
}

// FindOrphan gives the orphan of a VM, if it has one.
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

// lasting leaves out those that are about to end. Their ends are waited for side
// by side: after a logout all VMs of a user may be orphans.
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

// StopOrphan ends the orphan of a VM by SIGTERM, by which QEMU flushes the
// disks, and after five seconds by SIGKILL. The error wraps ErrNotRunning when there is none.
func StopOrphan(ctx context.Context, vm vms.VM) (Orphan, Rung, error) {
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
	// The number may have become a stranger's before the process was opened.
	if q, ok := qemuOf(o.PID); !ok || !q.IsOf(vm) {
		return Orphan{}, "", ErrNotRunning
	}
	for _, s := range signals(p) {
		ended, err := s.take(ctx, p)
		if err != nil || ended {
			return o, s.rung, err
		}
	}
	return o, Kill, fmt.Errorf("pid %d: %w", p.PID, ErrWillNotEnd)
}

// NoOrphan returns an *OrphanError when a VM has one: a second QEMU beside it
// would write to the same disks.
func NoOrphan(vm vms.VM) error {
	o, ok, err := FindOrphan(vm)
	if ok {
		return &OrphanError{o}
	}
	return err
}

// lastMoment is longer than QEMU lives on when it has removed its pid file, the last that it does itself.
const lastMoment = 500 * time.Millisecond

// ends tells whether a process is about to end: it is no orphan then.
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

// lostPIDFile tells whether a QEMU has a pid file open that is not the one at
// its path, and when it was written. One that has none open has only begun.
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
