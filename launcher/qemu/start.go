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

// greetDeadline is how long a QEMU may take to answer on its monitor, which it
// does within a tenth of a second on an idle host and before the guest runs.
const greetDeadline = 30 * time.Second

// DiedError says that QEMU ended while something was waited for.
type DiedError struct {
	Status string // how it ended: "exit status 1", "signal: aborted"; empty when it was not our child any more
	Words  string // the last lines that it wrote to its standard error, as they are; may be empty
}

// Error ends with QEMU's own words.
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

// Unwrap is ErrEnded, and ErrDiskInUse, ErrNoMemory, ErrNoSpice or ErrArchCapabilities where that is what QEMU says.
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

// Died is the error for a VM whose QEMU ended after it had been started.
func Died(vm vms.VM) error { return &DiedError{Words: lastWords(MessageLog(vm))} }

// Resolved is a VM as it can be started: nothing is left open that its definition may leave open, and Check has found
// nothing in the way. The accelerator is one of the host's (ResolveAccel), each bridge one that this user may use.
type Resolved struct {
	vms.VM
	Helper string // the path of the bridge helper; empty when no NIC needs one
}

// Start starts a VM's QEMU and returns when it answers on its monitor.
//
// The VM's disks must have been made (MakeDisks), and the caller holds its lock. taps has one tap for each bridge NIC,
// in order; the caller closes its copies. verbose is told the command line.
//
// The error is a *DiedError when QEMU ended, an *InUseError where that was because another has a disk open, an
// *OldQEMUError when it is too old, or is qmp's when QEMU did not answer; then nothing is left running. It wraps ErrRunning when the VM has a QEMU already.
func Start(ctx context.Context, ready Resolved, taps []*os.File, verbose func(argv []string)) (*Process, error) {
	vm := ready.VM
	in := &inheritance{}
	defer in.close()
	running, err := holdRunning(vm) // first: all that follows takes the files of a QEMU that runs from it
	if err != nil {
		return nil, err
	}
	in.own = append(in.own, running)
	files, err := inherit(vm, taps, in)
	if err != nil {
		return nil, err
	}
	in.add(running) // last: the line does not name its number
	if err := freeze(vm); err != nil {
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
	p, err := greeted(ctx, vm, cmd)
	if err == nil {
		closeDisplay(vm)
		makeAnswerFile(vm)
	}
	return p, withHolder(vm, withMemory(vm, err))
}

// freeze keeps the definition that this QEMU is started with, for the commands
// that manage it while the user's own file may change.
func freeze(vm vms.VM) error {
	return writeFile(filepath.Join(vm.RunDir, vms.StartedFile), func(w io.Writer) error {
		_, err := w.Write(append(vms.Head(vm), vms.Format(vm)...))
		return err
	})
}

// command is QEMU, to be executed in a session of its own, so that neither the terminal's end nor its Ctrl-C reaches
// it, with an environment that holds nothing of the user's.
func command(ctx context.Context, vm vms.VM, argv []string, in *inheritance) (*exec.Cmd, error) {
	log, err := openLog(MessageLog(vm))
	if err != nil {
		return nil, err
	}
	in.own = append(in.own, log)
	serial, err := openLog(ConsoleLog(vm)) // QEMU opens it by its name
	if err != nil {
		return nil, err
	}
	_ = serial.Close()
	// QEMU outlives this process, so ctx must not end it.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.Env = append(qemuEnv(), in.env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = in.files
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, nil
}

// greeted waits until QEMU answers on its monitor. A QEMU that does not is
// ended here, whatever the reason: there is no half-started VM.
func greeted(ctx context.Context, vm vms.VM, cmd *exec.Cmd) (*Process, error) {
	p, err := open(cmd.Process.Pid)
	if err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	greeting, cancel := context.WithTimeout(ctx, greetDeadline)
	defer cancel()
	if err := greet(greeting, vm, p); err != nil {
		err = afterlife(vm, cmd, p, err)
		p.Close()
		return nil, err
	}
	p.Started = time.Now()
	return p, cmd.Process.Release()
}

// greet waits until QEMU answers, or ends, or ctx does.
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

// afterlife ends a QEMU that did not answer and turns its end into an error. A
// monitor that broke off is a process that is ending: its own end is waited for
// a moment, since that has the words that matter.
func afterlife(vm vms.VM, cmd *exec.Cmd, p *Process, why error) error {
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
