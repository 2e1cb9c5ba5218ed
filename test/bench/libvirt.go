package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/test/world"
)

// domain is the guest of realGuest, as libvirt is told it: no device more than it insists on.
const domain = `<domain type='qemu'>
  <name>guestvm</name>
  <memory unit='MiB'>256</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>/mnt/guest/vmlinuz</kernel>
    <initrd>/mnt/guest/initrd.img</initrd>
    <cmdline>console=ttyS0 no_timer_check quiet</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <interface type='bridge'><source bridge='virbr0'/><model type='virtio'/><rom enabled='no'/></interface>
    <serial type='pty'/>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <memballoon model='none'/>
  </devices>
</domain>
`

// libvirt holds a start and an end of ours against those of libvirt's session daemon, warm.
func (b *bench) libvirt() error {
	stop, err := b.startDaemon()
	if err != nil {
		return err
	}
	defer stop()
	file := filepath.Join(world.Home, "guestvm.xml")
	if err := errors.Join(os.WriteFile(file, []byte(domain), 0o600), b.define("guestvm", realGuest)); err != nil {
		return err
	}
	if _, err := b.virsh("define", file); err != nil {
		return err
	}
	up, err := b.pair(func() (time.Duration, error) { return b.upThenDown("guestvm") }, func() (time.Duration, error) {
		took, err := b.virsh("start", "guestvm")
		if err == nil {
			_, err = b.virsh("destroy", "guestvm")
		}
		return took, err
	})
	if err != nil {
		return err
	}
	down, err := b.pair(func() (time.Duration, error) { return b.justDown("guestvm") }, func() (time.Duration, error) {
		if _, err := b.virsh("start", "guestvm"); err != nil {
			return 0, err
		}
		return b.virsh("destroy", "guestvm")
	})
	if err != nil {
		return err
	}
	version, err := b.libvirtVersion()
	b.add(up.faster("`up --wait running` against `virsh start` of the same guest ("+version+", session daemon warm)", 5),
		down.faster("`down --force` against `virsh destroy`", 0))
	return errors.Join(err, b.memory())
}

// justDown times the end of a VM that was started for that.
func (b *bench) justDown(name string) (time.Duration, error) {
	if _, err := b.do("qlaunch", "up", name, "--wait", "running"); err != nil {
		return 0, err
	}
	return b.do("qlaunch", "down", "--force", name)
}

func (b *bench) virsh(words ...string) (time.Duration, error) {
	return b.do(append([]string{"virsh", "--connect", "qemu:///session", "--quiet"}, words...)...)
}

func (b *bench) libvirtVersion() (string, error) {
	_, out, err := b.call("virsh", "--version")
	return "libvirt " + strings.TrimSpace(out), err
}

// daemons are libvirt's, in the order of preference: one for all, or since Debian 13 that of QEMU alone. The log's is
// started by them, and is theirs too.
func daemons() []string { return []string{"/usr/sbin/libvirtd", "/usr/sbin/virtqemud"} }

// startDaemon starts the session daemon, and returns when it answers.
func (b *bench) startDaemon() (stop func(), err error) {
	for _, program := range daemons() {
		if _, err := os.Stat(program); err != nil {
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		cmd := exec.CommandContext(ctx, program)
		cmd.Env = append(os.Environ(), "PATH=/usr/bin:/bin:/usr/sbin:/sbin")
		log, err := os.Create(filepath.Join(world.Home, "libvirt.log"))
		if err == nil {
			cmd.Stdout, cmd.Stderr = log, log
			err = cmd.Start()
		}
		stop = func() {
			cancel()
			_ = cmd.Wait()
			_ = log.Close()
		}
		if err == nil {
			_, err = b.virshWhenUp()
		}
		return stop, err
	}
	return nil, errors.New("no libvirt: sh test/bench/packages")
}

// virshWhenUp asks until the daemon answers: it has nobody to tell that it does.
func (b *bench) virshWhenUp() (time.Duration, error) {
	for begin := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		took, err := b.virsh("list")
		if err == nil || time.Since(begin) > patience {
			return took, err
		}
	}
}

// memory tells what stays resident while one VM runs, of ours and of libvirt's.
func (b *bench) memory() error {
	if _, err := b.do("qlaunch", "up", "guestvm", "--wait", "running"); err != nil {
		return err
	}
	ours, err := resident(filepath.Join(world.Dir, "bin/qlaunch"))
	if err != nil {
		return err
	}
	theirs, err := resident(append(daemons(), "/usr/sbin/virtlogd")...)
	if err != nil {
		return err
	}
	b.add(row{"memory of ours while a VM runs, beside QEMU's; libvirt's daemons", "0 bytes", fmt.Sprintf("%d bytes; libvirt %.1f MiB", ours, float64(theirs)/(1<<20)), verdict(ours == 0)})
	_, err = b.do("qlaunch", "down", "--force", "guestvm")
	return err
}
