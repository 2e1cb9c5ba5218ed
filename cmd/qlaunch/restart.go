package main

import (
	"context"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

type restartCmd struct {
	running
	Force   bool          `short:"f" help:"Do not ask the guest: QMP quit, then SIGTERM, then SIGKILL."`
	Wait    launcher.Goal `enum:"none,running,ip,ssh" default:"ip" help:"Return when QEMU runs, the address is known, or sshd answers: ${enum}."`
	Timeout vms.Duration  `help:"How long the guest may take to shut down, and then to get there. Default: the definition's [shutdown] timeout, and 60s."`
}

func (restartCmd) Help() string {
	return "Shuts VMs down as down does, and starts them as up does, each with its definition as it is now. " +
		"Prints the addresses. A VM that does not run is started; one that could not be started again is left as it is."
}

func (restartCmd) Example() string { return "qlaunch restart guestvm --wait ssh" }

func (c *restartCmd) Run(ctx context.Context, s *session) error {
	names, err := c.names(s, "restart")
	if err != nil {
		return err
	}
	started := newProgress(s, names)
	err = atOnce(names, func(i int, name string) (err error) {
		started.results[i], err = launcher.Restart(ctx, s.env, launcher.RestartRequest{
			Name: name, Force: c.Force, Wait: c.Wait, Timeout: time.Duration(c.Timeout), Stage: started.stage(i)})
		return err
	}, "restart")
	started.done(c.All)
	return err
}
