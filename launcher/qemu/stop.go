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

// Rung is a step of the ladder that Stop goes down, from the politest to the last.
type Rung string

// The rungs, in their order.
const (
	GuestAgent  Rung = "guest agent"       // the guest shuts itself down
	PowerButton Rung = "ACPI power button" // the same, for one without an agent
	Quit        Rung = "QMP quit"          // QEMU ends, and flushes the disks
	Term        Rung = "SIGTERM"           // the same, for a QEMU whose monitor does not answer
	Kill        Rung = "SIGKILL"           // nothing is flushed

	// Quit at once, as nothing in the guest could have shut it down.
	QuitHalted   Rung = "QMP quit, as its guest is halted"
	QuitUnbooted Rung = "QMP quit, as its firmware found nothing to boot"
)

// ErrWillNotEnd means that QEMU lives on after SIGKILL: it is stuck in the kernel.
var ErrWillNotEnd = errors.New("QEMU does not end")

const (
	pressAgain   = 5 * time.Second // a guest that is still booting drops the first press
	rungDeadline = 5 * time.Second
)

// How long a guest agent may take to answer, and then to say that it cannot do what it was told.
const (
	agentAnswer  = 2 * time.Second
	agentRefusal = time.Second
)

// step is one attempt: what is done, and how long its effect is waited for, at most until a time, if there is one.
type step struct {
	rung  Rung
	wait  time.Duration
	until time.Time
	do    func(ctx context.Context) error
}

// Stop ends a VM and returns the rung that did it. The guest gets timeout to
// shut itself down, and runs for that if it was paused; with 0 it is not asked. Its agent is asked first, if there is one that answers, and five seconds later the
// power button is pressed, and again after five more. Each later rung has five seconds. A
// guest in which nothing runs that could answer is waited for no longer than it takes to be certain of that. A
// step that cannot be taken, such as QMP's with a QEMU that does not answer,
// is gone past at once.
//
// The error wraps ErrNotRunning when there is nothing to stop, ErrWillNotEnd
// when nothing helped, or is ctx's cause, and then the VM is as the steps so far left it.
func Stop(ctx context.Context, vm vms.VM, timeout time.Duration) (Rung, error) {
	p, err := Find(vm)
	if err != nil {
		return "", err
	}
	defer p.Close()
	polite, done := ctx, func() {}
	if timeout > 0 {
		// What cannot be told it is gone past, as each step that cannot be taken.
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
			return s.rung.because(deaf), err
		}
	}
	return Kill, fmt.Errorf("pid %d: %w", p.PID, ErrWillNotEnd)
}

// within is the context of a step: what asks the guest ends when that is known not to answer.
func (s step) within(ctx, polite context.Context) context.Context {
	if s.until.IsZero() {
		return ctx
	}
	return polite
}

// because is the rung with why the guest was not waited for.
func (r Rung) because(deaf error) Rung {
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
	steps = append(steps, step{rung: Quit, wait: rungDeadline, do: quit})
	return append(steps, signals(p)...)
}

// tellAgent lets the guest's agent, if there is one that answers, shut the guest down.
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

// signals are the rungs that need no monitor.
func signals(p *Process) []step {
	return []step{
		{rung: Term, wait: rungDeadline, do: func(context.Context) error { return p.Signal(unix.SIGTERM) }},
		{rung: Kill, wait: rungDeadline, do: func(context.Context) error { return p.Signal(unix.SIGKILL) }},
	}
}

// ask gives QEMU one command on a connection of its own: the monitor serves one
// client at a time, and others may want to know what the VM does meanwhile.
func ask(ctx context.Context, vm vms.VM, command func(*qmp.Monitor, context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, rungDeadline)
	defer cancel()
	m, err := qmp.Dial(ctx, QMPSocket(vm))
	if err != nil {
		return err
	}
	defer m.Close()
	return command(m, ctx)
}

// take takes a step and tells whether QEMU ended by it.
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
		// It cannot be taken: the next one, unless QEMU ended just now.
		return p.Ended(), context.Cause(ctx)
	}
	if err != nil {
		waiting, cancel = context.WithTimeout(waiting, rungDeadline)
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

// How often a guest that is asked to shut down is looked at: QEMU has no event for one that halts.
const (
	firstLook = time.Second
	lastLook  = 8 * time.Second
)

// deafLooks have to show the same processors, this far apart. One of several that waits for a lock can be halted with its
// interrupts off for a moment (Linux's arch/x86/kernel/kvm.c, kvm_wait); then another runs, and registers change.
const (
	deafLooks = 3
	deafPause = 300 * time.Millisecond
)

// untilDeaf is a context that ends with ErrHalted or ErrNoBootDevice as soon as it is certain that the guest never answers:
// nothing runs in it that could. done ends the looking, and is to be called.
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

// isDeaf says whether an error is one of those by which untilDeaf ends.
func isDeaf(err error) bool { return errors.Is(err, ErrHalted) || errors.Is(err, ErrNoBootDevice) }

// deaf is why a guest never answers, or nil: also where that cannot be told.
func deaf(ctx context.Context, vm vms.VM) error {
	var why error
	err := ask(ctx, vm, func(m *qmp.Monitor, ctx context.Context) error {
		var err error
		why, err = lookThrice(ctx, m, vm)
		return err
	})
	if err != nil {
		return nil //nolint:nilerr // what cannot be told is no reason to stop asking the guest
	}
	return why
}

// lookThrice is why a guest never answers, if each look says so.
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

// neverAnswers is why a guest with these processors, and this end of its console, answers nobody; nil: it may. It is pure.
//
// Processors that all wait for an interrupt and take none are halted for good. A firmware that has said that there is
// nothing to boot waits for a key: the BIOS in real mode, UEFI below 4 GiB, where no 64-bit kernel lives.
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
