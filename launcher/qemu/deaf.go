package qemu

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

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
