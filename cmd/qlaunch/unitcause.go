package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/launcher/systemd"
	"github.com/qlaunch/qlaunch/netsetup"
)

// inOwnUnit looks at why a start failed inside of a unit, where the same cause has another cure than at a terminal.
func (s *session) inOwnUnit(ctx context.Context, name string, err error) error {
	if e, ok := errors.AsType[*netsetup.Error](err); ok && e.LogInAgain {
		return &oldManagerError{err, e.Group, s.store.UID}
	}
	if e, ok := errors.AsType[*qemu.KVMError](err); ok && joinedLater(e.Group) {
		return &oldManagerError{err, e.Group, s.store.UID}
	}
	if !errors.Is(err, netsetup.ErrNoNewPrivs) && !errors.Is(err, netsetup.ErrUserNamespace) && !errors.Is(err, netsetup.ErrNosuidMount) {
		return err
	}
	manager, _ := s.manager()
	state, unknown := manager.State(ctx, systemd.Name(name))
	if unknown != nil {
		return err
	}
	if breaker, ok := systemd.FindBreaker(append(state.DropIns, state.Fragment)); ok {
		return &breakerError{err, breaker}
	}
	return err
}

// breakerError says which line of which unit file is behind an error. It does not unwrap: the cure is another.
type breakerError struct {
	err     error
	breaker systemd.Breaker
}

func (e *breakerError) Error() string {
	return fmt.Sprintf("%v: by %s in %s", e.err, e.breaker.Directive, e.breaker.File)
}

func (e *breakerError) hint() string {
	return "without that line, and after systemctl --user daemon-reload, the bridge helper works"
}

// oldManagerError says that the user manager does not have a group that the
// user was put into while it ran. A new login has it; a manager that lingers keeps those of its own start. It does not unwrap: the cure is another.
type oldManagerError struct {
	err   error
	group string
	uid   int
}

func (e *oldManagerError) Error() string {
	return fmt.Sprintf("%v: the user manager is older than your place in group %s", e.err, e.group)
}

func (e *oldManagerError) hint() string {
	return fmt.Sprintf("sudo systemctl restart user@%d.service # ends all of your units, VMs too", e.uid)
}

// joinedLater tells whether this user is in a group by now that this process does not have.
func joinedLater(group string) bool {
	g, err := user.LookupGroup(group)
	if err != nil {
		return false
	}
	gid, _ := strconv.Atoi(g.Gid)
	if has, err := os.Getgroups(); err != nil || slices.Contains(append(has, os.Getegid()), gid) {
		return false
	}
	u, err := user.Current()
	if err != nil {
		return false
	}
	ids, err := u.GroupIds()
	return err == nil && slices.Contains(ids, g.Gid)
}
