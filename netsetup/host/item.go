package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"

	"github.com/qlaunch/qlaunch/netsetup"
)

// Look is the state of an item now.
func Look(ctx context.Context, item netsetup.Item) (string, error) {
	h, err := handlerOf(item.Kind)
	state := ""
	if err == nil {
		state, err = h.look(ctx, item.Name)
	}
	if err != nil {
		return "", fmt.Errorf("look at %s: %w", item, err)
	}
	return state, nil
}

// set makes an item what a state says, and what runs take notice of it.
func set(ctx context.Context, step netsetup.Step) error {
	h, err := handlerOf(step.Kind)
	if err == nil && isPath(step.Kind) {
		err = netsetup.Trusted(step.Name)
	}
	if err == nil {
		err = h.set(ctx, step.Name, step.To)
	}
	if err != nil || len(step.Then) == 0 {
		return err
	}
	if program(step.Then[0]) == "" {
		return nil // gone since: nothing runs that could take notice
	}
	_, err = run(ctx, "", step.Then...)
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && step.Then[0] == "firewall-cmd" && ended.ExitCode() == notRunning {
		return nil
	}
	return err
}

// notRunning is firewall-cmd's exit code when no firewalld is there to be told: firewall-cmd(1), NOT_RUNNING.
const notRunning = 252

// isPath says of a kind that its items are named by paths that root writes to, or has a program of root's read.
func isPath(k netsetup.Kind) bool {
	return slices.Contains([]netsetup.Kind{netsetup.KindFile, netsetup.KindShared, netsetup.KindDirectory, netsetup.KindProgram,
		netsetup.KindMode, netsetup.KindOverride, netsetup.KindDaemon}, k)
}

// A handler is how a kind of item is looked at, and set.
type handler struct {
	look func(ctx context.Context, name string) (string, error)
	set  func(ctx context.Context, name, state string) error
}

// handlers are all kinds of items.
func handlers() map[netsetup.Kind]handler {
	return map[netsetup.Kind]handler{
		netsetup.KindFile:      {prompt(lookFile), promptly(setFile)},
		netsetup.KindShared:    {prompt(lookFile), promptly(setFile)},
		netsetup.KindDirectory: {prompt(lookMode), promptly(setDirectory)},
		netsetup.KindProgram:   {prompt(lookProgram), promptly(setProgram)},
		netsetup.KindMode:      {prompt(lookMode), promptly(setMode)},
		netsetup.KindOverride:  {lookOverride, setOverride},
		netsetup.KindGroup:     {prompt(lookGroup), setGroup},
		netsetup.KindMember:    {prompt(lookMember), setMember},
		netsetup.KindSysctl:    {prompt(lookSysctl), promptly(setSysctl)},
		netsetup.KindBridge:    {prompt(lookBridge), promptly(setBridge)},
		netsetup.KindTable:     {lookTable, setTable},
		netsetup.KindFilter:    {lookFilter, setFilter},
		netsetup.KindChain:     {lookChain, setChain},
		netsetup.KindZone:      {lookZone, setZone},
		netsetup.KindUnit:      {lookUnit, setUnit},
		netsetup.KindDaemon:    {prompt(lookDaemon), setDaemon},
	}
}

// handlerOf is that of one kind. A newer version's journal can have others.
func handlerOf(kind netsetup.Kind) (handler, error) {
	h, ok := handlers()[kind]
	if !ok {
		return h, errors.New("not known")
	}
	return h, nil
}

// prompt is a look that waits for nobody, and so takes no ctx.
func prompt(look func(name string) (string, error)) func(context.Context, string) (string, error) {
	return func(_ context.Context, name string) (string, error) { return look(name) }
}

// promptly is the same of a set.
func promptly(set func(name, state string) error) func(context.Context, string, string) error {
	return func(_ context.Context, name, state string) error { return set(name, state) }
}

// LookAll fills in the states of items. What only root may look at is noted as unseen when somebody else looks.
func LookAll(ctx context.Context, h *netsetup.Host, items []netsetup.Item) error {
	for _, item := range items {
		if _, looked := h.States[item]; looked {
			continue
		}
		if os.Geteuid() != 0 && ofRoot(item.Kind) {
			h.Unseen[item] = true
			continue
		}
		state, err := Look(ctx, item)
		switch {
		case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
			h.Unseen[item] = true
		case err != nil:
			return err
		default:
			h.States[item] = state
		}
	}
	return nil
}

// ofRoot says of a kind that the programs which tell of it want root.
func ofRoot(k netsetup.Kind) bool {
	return k == netsetup.KindTable || k == netsetup.KindFilter || k == netsetup.KindChain || k == netsetup.KindZone
}
