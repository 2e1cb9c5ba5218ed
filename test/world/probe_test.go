package world_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/test/world"
)

// probe is what the tests have a program in the world do.
func probe(args []string) int {
	var err error
	switch args[0] {
	case "tap":
		err = probeTap(args[1])
	case "boot":
		err = probeBoot(args[1])
	default:
		err = fmt.Errorf("no probe %q", args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// probeTap asks the helper for a tap, as QEMU does, and says where the tap is.
func probeTap(bridge string) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	theirs := os.NewFile(uintptr(pair[1]), "helper")
	cmd := exec.Command(world.Helper, "--use-vnet", "--br="+bridge, "--fd=3")
	cmd.ExtraFiles, cmd.Stderr = []*os.File{theirs}, os.Stderr
	if err := cmd.Run(); err != nil {
		if _, ok := errors.AsType[*exec.ExitError](err); ok {
			os.Exit(1)
		}
		return err
	}
	control := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(pair[0], make([]byte, 1), control, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return err
	}
	messages, err := unix.ParseSocketControlMessage(control[:n])
	if err != nil {
		return err
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return err
	}
	request, err := unix.NewIfreq("")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fds[0], unix.TUNGETIFF, request); err != nil {
		return err
	}
	link, err := netlink.LinkByName(request.Name())
	if err != nil {
		return err
	}
	master, err := netlink.LinkByIndex(link.Attrs().MasterIndex)
	if err != nil {
		return err
	}
	fmt.Printf("%s is a port of %s\n", request.Name(), master.Attrs().Name)
	return nil
}

// outermost makes a world, says so when the command in it runs, and waits.
func outermost() int {
	cmd, err := world.Command(context.Background(), world.Options{}, "sh", "-c", "setsid sleep 600 & echo up; exec sleep 600")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return 1
}
