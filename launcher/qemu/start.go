package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

// greetDeadline is how long a QEMU may take to respond on its monitor. On an idle host that takes less than 100 ms,
// before the guest runs.
const greetDeadline = 30 * time.Second

// DiedError says that QEMU ended while a command waited for it.
type DiedError struct {
	Status string // how it ended: "exit status 1", "signal: aborted"; empty if QEMU is not a child of this process
	Words  string // the last lines of its standard error, unchanged; may be empty
}

// Error ends with QEMU's own messages.
func (e *DiedError) Error() string {
	switch {
	case e.Status == "" && e.Words == "":
		return "QEMU ended"
	case e.Words == "":
		return "QEMU ended without a word: " + e.Status
	case e.Status == "":
		return "QEMU ended: " + e.Words
	default:
		return fmt.Sprintf("QEMU ended: %s: %s", e.Status, e.Words)
	}
}

// Unwrap returns ErrEnded, and ErrDiskInUse, ErrNoMemory, ErrNoSpice or ErrArchCapabilities if QEMU's messages say
// so.
func (e *DiedError) Unwrap() []error {
	if lacksSpice(e.Words) {
		return []error{ErrEnded, ErrNoSpice}
	}
	if lacksArchCapabilities(e.Words) {
		return []error{ErrEnded, ErrArchCapabilities}
	}
	if refusesMemory(e.Words) {
		return []error{ErrEnded, ErrNoMemory}
	}
	if lacksLock(e.Words) {
		return []error{ErrEnded, ErrDiskInUse}
	}
	return []error{ErrEnded}
}

// Died returns the error for a VM whose QEMU ended after the start.
func Died(vm vms.VM) error { return &DiedError{Words: lastWords(MessageLog(vm))} }

// Resolved is a VM that can be started: everything that its definition may leave open is decided, and Check found no
// obstacle. The accelerator is available on the host (ResolveAccel), and this user may use each bridge.
type Resolved struct {
	vms.VM
	Helper string // the path of the bridge helper; empty if no NIC needs it
}

// Start starts a VM's QEMU and returns when QEMU responds on its monitor.
//
// The VM's disks must exist (MakeDisks), and the caller holds its lock. taps has one tap for each bridged NIC, in
// order; the caller closes its copies. verbose is called with the command line.
//
// The error is a *DiedError if QEMU ended, an *InUseError if that was because another process has a disk open, an
// *OldQEMUError if QEMU is too old, or one of package qmp if QEMU did not respond; no process is left running then.
// It wraps ErrRunning if the VM already has a QEMU.
func Start(ctx context.Context, ready Resolved, taps []*os.File, verbose func(argv []string)) (*Process, error) {
	vm := ready.VM
	in := &inheritedFiles{}
	defer in.close()
	running, err := holdRunning(vm) // first, since the steps below would take files away from a running QEMU
	if err != nil {
		return nil, err
	}
	in.own = append(in.own, running)
	files, err := inherit(vm, taps, in)
	if err != nil {
		return nil, err
	}
	in.add(running) // last, since the command line does not contain its number
	if err := saveStartedDefinition(vm); err != nil {
		return nil, err
	}
	cmd, err := command(ctx, vm, Args(vm, files), in)
	if err != nil {
		return nil, err
	}
	verbose(cmd.Args)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", cmd.Args[0], cause(err))
	}
	in.close()
	p, err := waitForMonitor(ctx, vm, cmd)
	if err == nil {
		closeDisplay(vm)
		makeReplyFile(vm)
	}
	return p, withHolder(vm, withMemory(vm, err))
}

// saveStartedDefinition saves the definition with which this QEMU is started, for the commands that manage it, since
// the user's own file may change.
func saveStartedDefinition(vm vms.VM) error {
	return writeFile(filepath.Join(vm.RunDir, vms.StartedFile), func(w io.Writer) error {
		_, err := w.Write(append(vms.Head(vm), vms.Format(vm)...))
		return err
	})
}

// command returns the command that executes QEMU in a session of its own, so that it survives the terminal and does
// not get its Ctrl-C, and with an environment that has no variable of the user's.
func command(ctx context.Context, vm vms.VM, argv []string, in *inheritedFiles) (*exec.Cmd, error) {
	log, err := openLog(MessageLog(vm))
	if err != nil {
		return nil, err
	}
	in.own = append(in.own, log)
	serial, err := openLog(ConsoleLog(vm)) // QEMU opens it by name
	if err != nil {
		return nil, err
	}
	_ = serial.Close()
	// QEMU survives this process, so ctx must not end it.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = append(qemuEnv(), in.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = in.files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, nil
}

// waitForMonitor waits until QEMU responds on its monitor. If it does not, for any reason, waitForMonitor ends it:
// there is no half-started VM.
func waitForMonitor(ctx context.Context, vm vms.VM, cmd *exec.Cmd) (*Process, error) {
	p, err := open(cmd.Process.Pid)
	if err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	greeting, cancel := context.WithTimeout(ctx, greetDeadline)
	defer cancel()
	if err := greet(greeting, vm, p); err != nil {
		err = exitError(vm, cmd, p, err)
		p.Close()
		return nil, err
	}
	p.Started = time.Now()
	return p, cmd.Process.Release()
}

// greet waits until QEMU responds or ends, or ctx ends.
func greet(ctx context.Context, vm vms.VM, p *Process) error {
	ctx, done := p.Context(ctx)
	defer done()
	m, err := qmp.Dial(ctx, QMPSocket(vm))
	if errors.Is(context.Cause(ctx), ErrEnded) {
		return ErrEnded
	}
	if err != nil {
		return err
	}
	major, minor := m.Release()
	return errors.Join(m.Close(), checkRelease(vm.QEMU.Binary, major, minor))
}

// exitError ends a QEMU that did not respond, and returns an error for its end. If the monitor's connection broke,
// the process is ending: exitError waits a moment for that, to get QEMU's last messages.
func exitError(vm vms.VM, cmd *exec.Cmd, p *Process, why error) error {
	if old, ok := errors.AsType[*OldQEMUError](why); ok {
		return errors.Join(old, cmd.Process.Kill(), reaped(cmd))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	byItself := !errors.Is(why, context.DeadlineExceeded) && !errors.Is(why, context.Canceled) && p.Wait(ctx) == nil
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !byItself {
		return fmt.Errorf("QEMU does not answer: %w", why)
	}
	return orTooOld(vm.QEMU.Binary, &DiedError{Status: cmd.ProcessState.String(), Words: lastWords(MessageLog(vm))})
}

// reaped waits for the end of a process that was killed, which is no error.
func reaped(cmd *exec.Cmd) error {
	err := cmd.Wait()
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		return nil
	}
	return err
}
