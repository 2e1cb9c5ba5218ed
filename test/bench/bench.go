package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/test/world"
)

// patience is how long any one command may take.
const patience = 2 * time.Minute

// bench is the user who measures, in a world.
type bench struct {
	pairs int
	defs  string // the directory of the definitions
	run   string // the directory of the VMs' run directories
	rows  []row
}

func newBench(pairs int) (*bench, error) {
	b := &bench{pairs: pairs, defs: filepath.Join(world.Home, ".config/qlaunch/vms"), run: fmt.Sprintf("/run/user/%d/qlaunch", os.Getuid())}
	return b, os.MkdirAll(b.defs, 0o700)
}

func (b *bench) add(rows ...row) { b.rows = append(b.rows, rows...) }

// say shows that something happens, and each number of which the table has the median.
func (*bench) say(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "  "+format+"\n", values...)
}

// real is the definition of the guest that boots, with a NIC on the bridge.
const realGuest = `accel  = "tcg"
memory = "256MiB"
cpus   = 1

[kernel]
image   = "/mnt/guest/vmlinuz"
initrd  = "/mnt/guest/initrd.img"
cmdline = "console=ttyS0 no_timer_check quiet"

[[nic]]
bridge = "virbr0"
`

// define writes a definition.
func (b *bench) define(name, text string) error {
	return os.WriteFile(filepath.Join(b.defs, name+".toml"), []byte(text), 0o600)
}

// call runs a program to its end, and tells how long that took and what it printed.
func (b *bench) call(argv ...string) (time.Duration, string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	begin := time.Now()
	err := cmd.Run()
	took := time.Since(begin)
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, said.String())
	}
	return took, out.String(), err
}

// do is call for whoever needs the time alone.
func (b *bench) do(argv ...string) (time.Duration, error) {
	took, _, err := b.call(argv...)
	return took, err
}

// upThenDown times a start, and then takes the VMs down, which does not count.
func (b *bench) upThenDown(names ...string) (time.Duration, error) {
	took, err := b.do(append([]string{"qlaunch", "up", "--wait", "running"}, names...)...)
	if err != nil {
		return 0, err
	}
	_, err = b.do(append([]string{"qlaunch", "down", "--force"}, names...)...)
	return took, err
}

func pollIn(fd int) (int, error) {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(patience.Milliseconds()))
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// ended opens the QEMU of a VM that runs, and gives what waits for its end and tells when that was.
func (b *bench) ended(name string) (func() (time.Time, error), error) {
	text, err := os.ReadFile(filepath.Join(b.run, name, "pid"))
	if err != nil {
		return nil, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, err
	}
	type end struct {
		at  time.Time
		err error
	}
	told := make(chan end, 1)
	go func() { // ends with QEMU, or after the deadline
		var err error = unix.EINTR
		for errors.Is(err, unix.EINTR) {
			_, err = pollIn(fd)
		}
		told <- end{time.Now(), err}
		_ = unix.Close(fd)
	}()
	return func() (time.Time, error) {
		e := <-told
		return e.at, e.err
	}, nil
}
