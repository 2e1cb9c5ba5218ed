package qemu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

// StopMethod is one of the methods with which Stop ends a VM, from the cleanest to the last resort.
type StopMethod string

// The methods, in their order.
const (
	GuestAgent  StopMethod = "guest agent"       // the guest shuts itself down
	PowerButton StopMethod = "ACPI power button" // the same, for a guest without an agent
	Quit        StopMethod = "QMP quit"          // QEMU ends, and flushes the disks
	Term        StopMethod = "SIGTERM"           // the same, for a QEMU whose monitor does not respond
	Kill        StopMethod = "SIGKILL"           // nothing is flushed

	// Quit without waiting, since nothing in the guest could have shut it down.
	QuitHalted   StopMethod = "QMP quit, as its guest is halted"
	QuitUnbooted StopMethod = "QMP quit, as its firmware found nothing to boot"
)

// ErrWillNotEnd means that QEMU still exists after SIGKILL: it is blocked in the kernel.
var ErrWillNotEnd = errors.New("QEMU does not end")

const (
	pressAgain   = 5 * time.Second // a guest that is still booting ignores the first press
	stepDeadline = 5 * time.Second
)

// How long a guest agent may take to respond, and then to report that it cannot shut the guest down.
const (
	agentAnswer  = 2 * time.Second
	agentRefusal = time.Second
)

// step is one attempt: what it does, and how long it waits for the effect, at most until a time, if there is one.
type step struct {
	method StopMethod
	wait   time.Duration
	until  time.Time
	do     func(ctx context.Context) error
}

// Stop ends a VM and returns the method that ended it. The guest gets timeout to shut itself down; if it was paused,
// it is resumed for that. With timeout 0 the guest is not asked. First the guest agent is asked, if one responds;
// after five seconds the power button is pressed, and after five more again. Each later method gets five seconds. If
// nothing runs in the guest that could respond, Stop waits only until that is certain. Stop skips a step that fails
// at once, such as QMP if QEMU does not respond.
//
// The error wraps ErrNotRunning if the VM does not run, and ErrWillNotEnd if no method worked. If it is ctx's cause,
// the VM is left as the steps so far left it.
func Stop(ctx context.Context, vm vms.VM, timeout time.Duration) (StopMethod, error) {
	p, err := Find(vm)
	if err != nil {
		return "", err
	}
	defer p.Close()
	polite, done := ctx, func() {}
	if timeout > 0 {
		// If it fails it is skipped, like each step that fails.
		asking, cancel := context.WithTimeout(ctx, askDeadline)
		_ = ask(asking, vm, func(m *qmp.Monitor, ctx context.Context) error { return letRun(ctx, m) })
		cancel()
		polite, done = untilDeaf(ctx, vm)
	}
	defer done()
	var deaf error
	for _, s := range ladder(vm, p, timeout) {
		ended, err := s.take(s.within(ctx, polite), p)
		if isDeaf(err) && !ended {
			deaf = err
			continue
		}
		if ended && isDeaf(err) {
			err = nil
		}
		if err != nil || ended {
			return s.method.because(deaf), err
		}
	}
	return Kill, fmt.Errorf("pid %d: %w", p.PID, ErrWillNotEnd)
}

// within returns the context of a step: a step that asks the guest ends when the guest is known not to respond.
func (s step) within(ctx, polite context.Context) context.Context {
	if s.until.IsZero() {
		return ctx
	}
	return polite
}

// because returns the method with the reason for which Stop did not wait for the guest.
func (r StopMethod) because(deaf error) StopMethod {
	switch {
	case r == Quit && errors.Is(deaf, ErrHalted):
		return QuitHalted
	case r == Quit && errors.Is(deaf, ErrNoBootDevice):
		return QuitUnbooted
	}
	return r
}

func ladder(vm vms.VM, p *Process, timeout time.Duration) []step {
	var steps []step
	if timeout > 0 {
		until := time.Now().Add(timeout)
		press := func(ctx context.Context) error { return ask(ctx, vm, (*qmp.Monitor).Powerdown) }
		steps = []step{
			{GuestAgent, pressAgain, until, func(ctx context.Context) error { return tellAgent(ctx, vm) }},
			{PowerButton, pressAgain, until, press},
			{PowerButton, timeout, until, press},
		}
	}
	quit := func(ctx context.Context) error { return ask(ctx, vm, (*qmp.Monitor).Quit) }
	steps = append(steps, step{method: Quit, wait: stepDeadline, do: quit})
	return append(steps, signals(p)...)
}

// tellAgent asks the guest agent, if one responds, to shut the guest down.
func tellAgent(ctx context.Context, vm vms.VM) error {
	if err := AgentListens(ctx, vm); err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, agentAnswer)
	defer cancel()
	a, err := OpenAgent(asking, vm)
	if err != nil {
		return err
	}
	defer a.Close()
	telling, cancel := context.WithTimeout(ctx, agentRefusal)
	defer cancel()
	return a.Shutdown(telling)
}

// signals returns the methods that need no monitor.
func signals(p *Process) []step {
	return []step{
		{method: Term, wait: stepDeadline, do: func(context.Context) error { return p.Signal(unix.SIGTERM) }},
		{method: Kill, wait: stepDeadline, do: func(context.Context) error { return p.Signal(unix.SIGKILL) }},
	}
}

// ask runs one command on a connection of its own: the monitor serves one client at a time, and others may want to
// query the VM in the meantime.
func ask(ctx context.Context, vm vms.VM, command func(*qmp.Monitor, context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, stepDeadline)
	defer cancel()
	m, err := qmp.Dial(ctx, QMPSocket(vm))
	if err != nil {
		return err
	}
	defer m.Close()
	return command(m, ctx)
}

// take runs a step and reports whether QEMU ended.
func (s step) take(ctx context.Context, p *Process) (ended bool, err error) {
	waiting, cancel := context.WithTimeout(ctx, s.wait)
	defer cancel()
	if !s.until.IsZero() {
		waiting, cancel = context.WithDeadline(waiting, s.until)
		defer cancel()
	}
	if waiting.Err() != nil {
		return false, context.Cause(ctx)
	}
	acting, done := p.Context(waiting)
	defer done()
	err = s.do(acting)
	if err != nil && !qmp.IsGone(err) {
		// The step failed: try the next one, unless QEMU has just ended.
		return p.Ended(), context.Cause(ctx)
	}
	if err != nil {
		waiting, cancel = context.WithTimeout(waiting, stepDeadline)
		defer cancel()
	}
	err = p.Wait(waiting)
	if err == nil {
		return true, nil
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		return false, err
	}
	return false, nil
}

// How often the processors of a guest that is shutting down are checked: QEMU has no event for a guest that halts.
const (
	firstLook = time.Second
	lastLook  = 8 * time.Second
)

// deafLooks consecutive checks, this far apart, must show the same processors. A processor that waits for a lock can
// be halted with interrupts off for a moment (Linux's arch/x86/kernel/kvm.c, kvm_wait); another one then runs, and
// its registers change.
const (
	deafLooks = 3
	deafPause = 300 * time.Millisecond
)

// untilDeaf returns a context that ends with ErrHalted or ErrNoBootDevice as soon as it is certain that the guest
// will never respond, since nothing in it runs. The caller must call done, which ends the checks.
func untilDeaf(ctx context.Context, vm vms.VM) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		for pause := firstLook; ctx.Err() == nil; pause = min(2*pause, lastLook) {
			if why := deaf(ctx, vm); why != nil {
				cancel(why)
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-over
	}
}

// isDeaf reports whether untilDeaf ended with err.
func isDeaf(err error) bool { return errors.Is(err, ErrHalted) || errors.Is(err, ErrNoBootDevice) }

// deaf returns why a guest will never respond, or nil, also if that is not known.
func deaf(ctx context.Context, vm vms.VM) error {
	var why error
	err := ask(ctx, vm, func(m *qmp.Monitor, ctx context.Context) error {
		var err error
		why, err = lookThrice(ctx, m, vm)
		return err
	})
	if err != nil {
		return nil //nolint:nilerr // if the check fails, the guest may still respond
	}
	return why
}

// lookThrice returns why a guest will never respond, if each check finds the same.
func lookThrice(ctx context.Context, m *qmp.Monitor, vm vms.VM) (why, err error) {
	var first []qmp.Processor
	for look := range deafLooks {
		if look > 0 {
			select {
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-time.After(deafPause):
			}
		}
		now, err := m.Processors(ctx)
		if err != nil {
			return nil, err
		}
		if look == 0 {
			first = now
		}
		why = neverAnswers(now, vm.Firmware, ConsoleEnd(vm))
		if why == nil || errors.Is(why, ErrHalted) && !slices.Equal(first, now) {
			return nil, nil
		}
	}
	return why, nil
}

// neverAnswers returns why a guest with these processors, and with this end of its console log, will never respond;
// nil if it may. It is pure.
//
// If all processors wait for an interrupt with interrupts disabled, they are halted forever. A firmware that has
// reported that there is nothing to boot waits for a key: the BIOS in real mode, UEFI below 4 GiB, where no 64-bit
// kernel is.
func neverAnswers(all []qmp.Processor, firmware vms.Firmware, end error) error {
	if slices.ContainsFunc(all, func(p qmp.Processor) bool { return !p.Halted }) || len(all) == 0 {
		return nil
	}
	if !slices.ContainsFunc(all, func(p qmp.Processor) bool { return p.Interrupts }) {
		return ErrHalted
	}
	const fourGiB = 1 << 32
	boot := all[0]
	inFirmware := firmware == vms.BIOS && !boot.Protected || firmware == vms.UEFI && boot.Long && boot.IP < fourGiB
	if inFirmware && errors.Is(end, ErrNoBootDevice) {
		return ErrNoBootDevice
	}
	return nil
}
