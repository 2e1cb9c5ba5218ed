package qmp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/digitalocean/go-qemu/qmp/raw"
)

// Monitor is a connection to QEMU's monitor, with the commands that qlaunch needs. Its methods may be called from
// several goroutines at once.
type Monitor struct{ *Conn }

// Dial connects to the QMP socket at path, waits for QEMU's greeting and leaves the negotiation mode; all of this
// before ctx ends. The path may be longer than the 107 bytes of a socket address.
//
// The error is ErrNoGreeting if the connection is accepted but no greeting comes before the deadline of ctx. It wraps
// fs.ErrNotExist if there is no socket, and ECONNREFUSED if the socket exists but its QEMU has ended.
func Dial(ctx context.Context, path string) (*Monitor, error) {
	conn, err := connect(ctx, path)
	if err != nil {
		return nil, &failure{path, "connect", err}
	}
	c, err := open(ctx, conn, path)
	if err != nil {
		return nil, err
	}
	return &Monitor{c}, nil
}

// The commands are those of go-qemu, which are generated from QEMU's schema, with a context. A command that is newer
// than that schema (2.11) uses Run.

// Status is the run state of the guest.
type Status struct {
	State   string // QEMU's RunState: running, paused, shutdown, prelaunch, guest-panicked, io-error, …
	Running bool   // the processors run
}

func (m *Monitor) raw(ctx context.Context) *raw.Monitor { return raw.NewMonitor(m.With(ctx)) }

// inCommand adds the command to an error of go-qemu's decoder, which does not name it; Run's errors name it already.
func (m *Monitor) inCommand(command string, err error) error {
	if _, ok := errors.AsType[*failure](err); ok || err == nil {
		return err
	}
	return &failure{m.path, command, notQMP(err)}
}

// Status returns the run state of the guest (query-status).
func (m *Monitor) Status(ctx context.Context) (Status, error) {
	info, err := m.raw(ctx).QueryStatus()
	if err != nil {
		return Status{}, m.inCommand("query-status", err)
	}
	return Status{State: info.Status.String(), Running: info.Running}, nil
}

// Powerdown presses the power button (system_powerdown). It returns at once, even if the guest ignores the button;
// see WaitShutdown.
func (m *Monitor) Powerdown(ctx context.Context) error { return m.raw(ctx).SystemPowerdown() }

// Quit ends QEMU without asking the guest; QEMU flushes what the guest has written to its disks (quit). A connection
// that ends before the reply is the expected result, so it is not an error.
func (m *Monitor) Quit(ctx context.Context) error {
	if err := m.raw(ctx).Quit(); !errors.Is(err, ErrEnded) {
		return err
	}
	return nil
}

// Stop pauses the guest's processors (stop).
func (m *Monitor) Stop(ctx context.Context) error { return m.raw(ctx).Stop() }

// Cont lets the guest's processors run (cont).
func (m *Monitor) Cont(ctx context.Context) error { return m.raw(ctx).Cont() }

// Reset presses the reset button (system_reset).
func (m *Monitor) Reset(ctx context.Context) error { return m.raw(ctx).SystemReset() }

// Wakeup wakes a guest that sleeps (system_wakeup); otherwise it does nothing.
func (m *Monitor) Wakeup(ctx context.Context) error { return m.raw(ctx).SystemWakeup() }

// Disk is a medium in a drive of the guest.
type Disk struct {
	File     string // the file name as QEMU opened it
	IOStatus string // BlockDeviceIoStatus: ok, failed or nospace; empty if errors never stop the guest
}

// Disks returns the guest's disks (query-block). The reply is long and differs between QEMU versions, so only these
// fields are decoded.
func (m *Monitor) Disks(ctx context.Context) ([]Disk, error) {
	reply, err := m.With(ctx).Run([]byte(`{"execute": "query-block"}`))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Return []struct {
			Inserted *struct{ File string }
			IOStatus string `json:"io-status"`
		}
	}
	if err := json.Unmarshal(reply, &answer); err != nil {
		return nil, m.inCommand("query-block", err)
	}
	var disks []Disk
	for _, drive := range answer.Return {
		if drive.Inserted != nil {
			disks = append(disks, Disk{File: drive.Inserted.File, IOStatus: drive.IOStatus})
		}
	}
	return disks, nil
}

// ChardevOpen reports whether a program in the guest has the other end of a character device open (query-chardev). It
// is false if there is no such device.
func (m *Monitor) ChardevOpen(ctx context.Context, label string) (bool, error) {
	devices, err := m.raw(ctx).QueryChardev()
	if err != nil {
		return false, m.inCommand("query-chardev", err)
	}
	for _, d := range devices {
		if d.Label == label {
			return d.FrontendOpen, nil
		}
	}
	return false, nil
}

// KVM reports whether the guest runs under KVM, and whether this QEMU was built with it (query-kvm).
func (m *Monitor) KVM(ctx context.Context) (enabled, present bool, err error) {
	info, err := m.raw(ctx).QueryKVM()
	return info.Enabled, info.Present, m.inCommand("query-kvm", err)
}

// UUID returns the machine's UUID (query-uuid); without -uuid it is all zeros.
func (m *Monitor) UUID(ctx context.Context) (string, error) {
	info, err := m.raw(ctx).QueryUUID()
	return info.UUID, m.inCommand("query-uuid", err)
}

// Name returns the name that -name set (query-name); empty without it.
func (m *Monitor) Name(ctx context.Context) (string, error) {
	info, err := m.raw(ctx).QueryName()
	if err != nil || info.Name == nil {
		return "", m.inCommand("query-name", err)
	}
	return *info.Name, nil
}

// Version returns QEMU's version (query-version), such as 7.2.22.
func (m *Monitor) Version(ctx context.Context) (string, error) {
	info, err := m.raw(ctx).QueryVersion()
	if err != nil {
		return "", m.inCommand("query-version", err)
	}
	return fmt.Sprintf("%d.%d.%d", info.Qemu.Major, info.Qemu.Minor, info.Qemu.Micro), nil
}

// WaitShutdown waits until QEMU reports that the guest was shut down, and returns QEMU's reason (ShutdownCause in
// qapi/run-state.json), such as "guest-shutdown" or "host-qmp-quit". If QEMU has reported it since Dial, WaitShutdown
// returns at once. QEMU itself ends some 40 ms later. The error wraps ErrEnded if QEMU ends without a report, as
// after SIGKILL, and ctx.Err() if ctx ends.
func (m *Monitor) WaitShutdown(ctx context.Context) (reason string, err error) {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	for e := range m.events.subscribe(reading) {
		if e.Event == "SHUTDOWN" {
			reason, _ := e.Data["reason"].(string)
			return reason, nil
		}
	}
	err = ctx.Err()
	if err == nil {
		err = m.cause()
	}
	return "", &failure{m.path, "wait for the shutdown", err}
}

// WaitEvent waits until QEMU sends an event of that name; if QEMU has sent one since Dial, it returns at once. The
// error wraps ErrEnded if the connection ends first, and ctx.Err() if ctx ends.
func (m *Monitor) WaitEvent(ctx context.Context, name string) error {
	reading, stop := context.WithCancel(ctx)
	defer stop()
	for e := range m.events.subscribe(reading) {
		if e.Event == name {
			return nil
		}
	}
	err := ctx.Err()
	if err == nil {
		err = m.cause()
	}
	return &failure{m.path, "wait for " + name, err}
}
