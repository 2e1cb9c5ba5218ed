package world_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qlaunch/qlaunch/test/world"
)

func TestTheGuestBootsGetsItsLeaseAnswersSSHAndPowersOff(t *testing.T) {
	guest := t.TempDir()
	build := exec.CommandContext(t.Context(), "sh", "../guest/build", guest)
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the guest: %v\n%s", err, text)
	}
	got := run(t, world.Options{Copy: map[string]string{"guest": guest}}, "probe", "boot", "52:54:00:53:52:b1")
	want := `guest: eth0 52:54:00:53:52:b1 is up
guest: address 192.168.122.62/24 on eth0
guest: sshd is ready
lease: 52:54:00:53:52:b1 192.168.122.62 guest
ssh: Linux guest
ssh: uid=1000(debian) gid=1000(debian) groups=1000(debian)
ssh: exit status 37
guest: power button pressed
guest: powering off
`
	if diff := cmp.Diff(result{Stdout: want, Stderr: ""}, got); diff != "" {
		t.Error(diff)
	}
}

// probeBoot runs QEMU by hand, with the helper run by QEMU itself, and tells
// what it sees of the guest with this MAC, from its start to its end.
func probeBoot(mac string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	const guest = world.Dir + "/guest"
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-nodefaults", "-no-user-config", "-display", "none", "-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "256",
		"-kernel", guest+"/vmlinuz", "-initrd", guest+"/initrd.img", "-append", "console=ttyS0 no_timer_check quiet",
		"-netdev", "bridge,id=net0,br=virbr0,helper="+world.Helper, "-device", "virtio-net-pci,netdev=net0,mac="+mac,
		"-serial", "stdio", "-qmp", "unix:qmp,server=on,wait=off")
	qemu.Stderr = os.Stderr
	console, err := qemu.StdoutPipe()
	if err != nil {
		return err
	}
	if err := qemu.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(console)
	up := nextStages(lines, 4)[1:] // the first names the kernel's version
	slices.Sort(up)                // the lease and sshd come in either order
	fmt.Println(strings.Join([]string{up[1], up[0], up[2]}, "\n"))
	for _, step := range []func() error{probeLease, func() error { return probeSSH(ctx) }, pressPowerButton} {
		if err := step(); err != nil {
			return err
		}
	}
	fmt.Println(strings.Join(nextStages(lines, 2), "\n"))
	return qemu.Wait()
}

// nextStages is the next n lines in which the guest says what it does.
func nextStages(lines *bufio.Scanner, n int) []string {
	var stages []string
	for len(stages) < n && lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); strings.HasPrefix(line, "guest: ") {
			stages = append(stages, line)
		}
	}
	return append(stages, make([]string, n-len(stages))...)
}

// probeLease prints what dnsmasq's lease file has, but for the times.
func probeLease() error {
	text, err := os.ReadFile(world.Leases)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 5 {
			fmt.Println("lease:", f[1], f[2], f[3])
		}
	}
	return nil
}

func probeSSH(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "ssh", "-i", world.Dir+"/guest/id_ed25519", "-o", "StrictHostKeyChecking=accept-new",
		"-o", "BatchMode=yes", "-o", "LogLevel=ERROR", "debian@192.168.122.62", "uname -sn; id; exit 37")
	text, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(text)) {
		fmt.Print("ssh: ", line)
	}
	fmt.Println("ssh:", err)
	return nil
}

// pressPowerButton has QEMU press it; the connection ends with QEMU.
func pressPowerButton() error {
	conn, err := net.Dial("unix", "qmp")
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, `{"execute":"qmp_capabilities"}{"execute":"system_powerdown"}`); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, conn)
	return err
}
