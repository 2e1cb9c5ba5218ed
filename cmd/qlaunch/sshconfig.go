package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/qlaunch/qlaunch/launcher"
)

type sshConfCmd struct {
	Names     []string `arg:"" optional:"" vm:"" name:"name" help:"VMs. Without any: all."`
	Install   bool     `xor:"install" help:"Put one Include at the top of ~/.ssh/config, for all VMs, also those that are made later."`
	Uninstall bool     `xor:"install" help:"Remove that line."`
}

func (sshConfCmd) Help() string {
	return "With --install, ssh, scp, sftp, rsync and editors know the VMs by NAME and by qlaunch-NAME, whatever their addresses are at each connection: " +
		"each start writes its VM's entry, and your configuration includes them all. A name that your configuration has an entry for is left to your own entry. " +
		"Without it, prints the entries."
}

func (sshConfCmd) Example() string { return "qlaunch ssh-config --install" }

func (c *sshConfCmd) Run(ctx context.Context, s *session) error {
	switch {
	case (c.Install || c.Uninstall) && len(c.Names) > 0:
		return &usageError{errors.New("ssh-config: --install and --uninstall are for all VMs"), "ssh-config"}
	case c.Install:
		return of("ssh-config", "--install", launcher.InstallSSHConfig(ctx, s.env))
	case c.Uninstall:
		return of("ssh-config", "--uninstall", launcher.UninstallSSHConfig(ctx, s.env))
	}
	names := once(c.Names)
	if len(names) == 0 {
		all, err := s.env.Store.Names()
		if err != nil {
			return fmt.Errorf("ssh-config: %w", err)
		}
		names = all
	}
	return each(names, func(name string) error {
		entry, err := launcher.SSHConfig(ctx, s.env, name)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(s.stdout, entry)
		return err
	}, "ssh-config")
}
