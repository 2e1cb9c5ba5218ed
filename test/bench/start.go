package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/qmp"
)

// start holds a start of ours against QEMU by hand.
func (b *bench) start() error {
	if err := b.define("guestvm", realGuest); err != nil {
		return err
	}
	raw, err := b.prepareRaw("guestvm")
	if err != nil {
		return err
	}
	p, err := b.pair(func() (time.Duration, error) { return b.upThenDown("guestvm") }, func() (time.Duration, error) { return b.timeRaw(raw) })
	b.add(p.atMost("`up --wait running` over QEMU by hand: a shell, the same arguments, its NIC through the helper, until QMP answers", 1.15))
	return err
}

// rawVM is a VM that a shell starts, with the line that `qlaunch argv` prints.
type rawVM struct {
	dir  string // where its monitor's socket comes to be
	line string
}

func (b *bench) prepareRaw(names ...string) ([]rawVM, error) {
	var list []rawVM
	for _, name := range names {
		if _, err := b.upThenDown(name); err != nil { // makes the directories
			return nil, err
		}
		_, line, err := b.call("qlaunch", "argv", name)
		if err != nil {
			return nil, err
		}
		list = append(list, rawVM{filepath.Join(b.run, name), line})
	}
	return list, nil
}

// timeRaw is how long QEMUs that shells start at once take until all of them answer.
func (b *bench) timeRaw(list []rawVM) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var started []*rawQEMU
	defer func() {
		for _, q := range started {
			q.close()
		}
	}()
	for _, vm := range list {
		q, err := vm.watch()
		if err != nil {
			return 0, err
		}
		started = append(started, q)
	}
	begin := time.Now()
	answers := make(chan error, len(started))
	for _, q := range started {
		go func() { answers <- q.start(ctx) }()
	}
	var err error
	for range started {
		err = errors.Join(err, <-answers)
	}
	took := time.Since(begin)
	for _, q := range started {
		err = errors.Join(err, q.quit(ctx))
	}
	return took, err
}

// rawQEMU is a QEMU that a shell starts.
type rawQEMU struct {
	vm      rawVM
	cmd     *exec.Cmd
	events  *fsnotify.Watcher // its socket's coming, so that nobody asks again and again
	monitor *qmp.Monitor
}

func (vm rawVM) socket() string { return filepath.Join(vm.dir, "qmp.sock") }

func (vm rawVM) watch() (*rawQEMU, error) {
	if err := os.Remove(vm.socket()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return &rawQEMU{vm: vm, events: events}, events.Add(vm.dir)
}

// start returns when QEMU answers.
func (q *rawQEMU) start(ctx context.Context) error {
	q.cmd = exec.CommandContext(ctx, "sh", "-c", "exec "+q.vm.line)
	q.cmd.Stderr = os.Stderr
	// A session of its own, as ours has: Linux deals out processors by sessions (sched(7), autogroup), and thirty in one
	// would have the share of one.
	q.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := q.cmd.Start(); err != nil {
		return err
	}
	for {
		select {
		case e := <-q.events.Events:
			if e.Name != q.vm.socket() || !e.Has(fsnotify.Create) {
				continue
			}
			var err error
			for q.monitor, err = qmp.Dial(ctx, q.vm.socket()); errors.Is(err, unix.ECONNREFUSED); {
				time.Sleep(100 * time.Microsecond) // it is between its bind and its listen, and needs a processor
				q.monitor, err = qmp.Dial(ctx, q.vm.socket())
			}
			return err
		case err := <-q.events.Errors:
			return fmt.Errorf("QEMU by hand: watch %s: %w", q.vm.dir, err)
		case <-ctx.Done():
			return fmt.Errorf("QEMU by hand: %w", context.Cause(ctx))
		}
	}
}

func (q *rawQEMU) quit(ctx context.Context) error {
	if q.monitor == nil {
		return nil
	}
	return errors.Join(q.monitor.Quit(ctx), q.monitor.Close(), q.cmd.Wait())
}

func (q *rawQEMU) close() { _ = q.events.Close() }
