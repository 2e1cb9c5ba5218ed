package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

type waitCmd struct {
	Name    string       `arg:"" vm:"" help:"A VM."`
	For     goal         `enum:"running,ip,ssh,agent,stopped" required:"" help:"What to wait for: ${enum}."`
	Timeout vms.Duration `default:"60s" help:"How long, at most 24h."`
}

func (waitCmd) Help() string {
	return "Exit code 124 when the time is over. For ip, ssh and agent (the guest agent), a VM that does not run is waited for too; one that ends meanwhile is an error."
}

func (waitCmd) Example() string { return "qlaunch wait guestvm --for stopped --timeout 2m" }

func (c *waitCmd) Run(ctx context.Context, s *session) error {
	return of("wait", c.Name, c.run(ctx, s))
}

func (c *waitCmd) run(ctx context.Context, s *session) error {
	vm, err := s.managed(c.Name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(c.Timeout))
	defer cancel()
	if c.For == goalStopped {
		return c.stopped(ctx, vm)
	}
	if _, err := launcher.WaitRunning(ctx, vm); err != nil {
		if errors.Is(err, qmp.ErrNoGreeting) {
			return c.tooLate(err, "QEMU still does not answer")
		}
		return c.tooLate(err, "it still does not run")
	}
	if vm, err = s.managed(c.Name); err != nil { // as it was started, which may be another definition
		return err
	}
	g, err := s.running(vm)
	if err != nil {
		return err
	}
	defer g.close()
	_, err = s.await(ctx, g, c.For, time.Duration(c.Timeout), func(string) {})
	return err
}

func (c *waitCmd) stopped(ctx context.Context, vm vms.VM) error {
	process, err := reached(vm)
	if errors.Is(err, launcher.ErrNotRunning) {
		return nil
	}
	if err != nil {
		return err
	}
	defer process.Close()
	defer trimming(ctx, vm)()
	return c.tooLate(process.Wait(ctx), "it still runs")
}

// tooLate says what is still so when the time is over.
func (c *waitCmd) tooLate(err error, still string) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return lateError(fmt.Sprintf("%s after %s", still, c.Timeout))
	}
	return orInterrupted(err)
}

// lateError is the end of a deadline; its text says what is still so.
type lateError string

func (e lateError) Error() string { return string(e) }

// Is makes it the deadline that it is.
func (lateError) Is(target error) bool { return target == context.DeadlineExceeded }
