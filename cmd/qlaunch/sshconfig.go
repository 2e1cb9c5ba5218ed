package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/qlaunch/qlaunch/vms"
)

type sshConfCmd struct {
	Names []string `arg:"" optional:"" vm:"" name:"name" help:"VMs. Without any: all."`
}

func (sshConfCmd) Help() string {
	return "With the entries in ~/.ssh/config, or in a file that an Include at its top names, ssh, scp, sftp, rsync and editors know the VMs by NAME and by qlaunch-NAME. " +
		"The address is looked up at each connection."
}

func (sshConfCmd) Example() string { return "qlaunch ssh-config > ~/.ssh/qlaunch" }

func (c *sshConfCmd) Run(s *session) error {
	if s.executable == "" {
		return errors.New("ssh-config: the path of this program is not known")
	}
	names := once(c.Names)
	if len(names) == 0 {
		all, err := s.store.Names()
		if err != nil {
			return fmt.Errorf("ssh-config: %w", err)
		}
		names = all
	}
	return each(names, func(name string) error {
		vm, err := s.load(name)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(s.stdout, s.sshEntry(vm))
		return err
	}, "ssh-config")
}

// sshEntry is a VM's entry for ssh_config(5).
func (s *session) sshEntry(vm vms.VM) string {
	ref := vm.Name
	if vm.File != s.store.Path(vm.Name) {
		ref = vm.File
	}
	// ssh has a shell run this, with its tokens expanded.
	proxy := strings.ReplaceAll(shellLine([]string{s.executable, "proxy", ref}), "%", "%%")
	options := append(sshOptions(vm), sshOption{"Port", fmt.Sprint(vm.SSH.Port)}, sshOption{"ProxyCommand", proxy})
	var b strings.Builder
	fmt.Fprintf(&b, "Host %s qlaunch-%s\n", vm.Name, vm.Name)
	for _, o := range options {
		fmt.Fprintf(&b, "  %s %s\n", o.key, o.value)
	}
	return b.String()
}
