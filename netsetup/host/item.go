package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"

	"github.com/qlaunch/qlaunch/netsetup"
)

// Look is the state of an item now.
func Look(ctx context.Context, item netsetup.Item) (string, error) {
	state, err := look(ctx, item)
	if err != nil {
		return "", fmt.Errorf("look at %s: %w", item, err)
	}
	return state, nil
}

func look(ctx context.Context, item netsetup.Item) (string, error) {
	name := item.Name
	switch item.Kind {
	case netsetup.KindFile, netsetup.KindShared:
		return lookFile(name)
	case netsetup.KindDirectory, netsetup.KindMode:
		return lookMode(name)
	case netsetup.KindProgram:
		return lookProgram(name)
	case netsetup.KindOverride:
		return lookOverride(ctx, name)
	case netsetup.KindGroup:
		return lookGroup(name)
	case netsetup.KindMember:
		return lookMember(name)
	case netsetup.KindSysctl:
		return lookSysctl(name)
	case netsetup.KindBridge:
		return lookBridge(name)
	case netsetup.KindTable:
		return lookTable(ctx, name)
	case netsetup.KindFilter:
		return lookFilter(ctx, name)
	case netsetup.KindChain:
		return lookChain(ctx, name)
	case netsetup.KindZone:
		return lookZone(ctx, name)
	case netsetup.KindUnit:
		return lookUnit(ctx, name)
	case netsetup.KindDaemon:
		return lookDaemon(name), nil
	}
	return "", errors.New("not known")
}

// set makes an item what a state says, and what runs take notice of it.
func set(ctx context.Context, step netsetup.Step) error {
	if err := setItem(ctx, step.Item, step.To); err != nil || len(step.Then) == 0 {
		return err
	}
	if program(step.Then[0]) == "" {
		return nil // gone since: nothing runs that could take notice
	}
	_, err := run(ctx, "", step.Then...)
	if ended, ok := errors.AsType[*exec.ExitError](err); ok && step.Then[0] == "firewall-cmd" && ended.ExitCode() == notRunning {
		return nil
	}
	return err
}

// notRunning is firewall-cmd's exit code when no firewalld is there to be told: firewall-cmd(1), NOT_RUNNING.
const notRunning = 252

func setItem(ctx context.Context, item netsetup.Item, state string) error {
	name := item.Name
	switch item.Kind {
	case netsetup.KindFile, netsetup.KindShared:
		return setFile(name, state)
	case netsetup.KindDirectory:
		return setDirectory(name, state)
	case netsetup.KindMode:
		return setMode(name, state)
	case netsetup.KindProgram:
		return setProgram(name, state)
	case netsetup.KindOverride:
		return setOverride(ctx, name, state)
	case netsetup.KindGroup:
		return setGroup(ctx, name, state)
	case netsetup.KindMember:
		return setMember(ctx, name, state)
	case netsetup.KindSysctl:
		return setSysctl(name, state)
	case netsetup.KindBridge:
		return setBridge(name, state)
	case netsetup.KindTable:
		return setTable(ctx, name, state)
	case netsetup.KindFilter:
		return setFilter(ctx, name, state)
	case netsetup.KindChain:
		return setChain(ctx, name, state)
	case netsetup.KindZone:
		return setZone(ctx, name, state)
	case netsetup.KindUnit:
		return setUnit(ctx, name, state)
	case netsetup.KindDaemon:
		return setDaemon(ctx, name, state)
	}
	return errors.New("not known")
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
