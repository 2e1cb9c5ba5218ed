package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"time"

	"github.com/qlaunch/qlaunch/test/world"
)

// guest measures what a guest that boots and shuts down is told of late: its address, and its end.
func (b *bench) guest() error {
	if err := b.define("guestvm", realGuest); err != nil {
		return err
	}
	var address, prompt []time.Duration
	for range b.pairs {
		late, err := b.addressAfterLease("guestvm")
		if err != nil {
			return err
		}
		later, err := b.promptAfterEnd("guestvm")
		if err != nil {
			return err
		}
		b.say("address %s after the lease, prompt %s after the end", ms(late), ms(later))
		address, prompt = append(address, late), append(prompt, later)
	}
	b.add(within("`up`: from dnsmasq's DHCPACK (the lease file's own time, to the kernel's tick of 4 ms) to the address on standard output", 20*time.Millisecond, address),
		within("`down`: from QEMU's end to the prompt", 20*time.Millisecond, prompt))
	return nil
}

// addressAfterLease starts a VM, and tells how long after the lease file was written its address was printed.
func (b *bench) addressAfterLease(name string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "qlaunch", "up", name)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	_, err = bufio.NewReader(out).ReadString('\n')
	printed := time.Now()
	if ended := cmd.Wait(); ended != nil || err != nil {
		return 0, ended
	}
	leases, err := os.Stat(world.Leases)
	if err != nil {
		return 0, err
	}
	return printed.Sub(leases.ModTime()), nil
}

// promptAfterEnd shuts a VM down, and tells how long after QEMU's end the command ended.
func (b *bench) promptAfterEnd(name string) (time.Duration, error) {
	ended, err := b.ended(name)
	if err != nil {
		return 0, err
	}
	if _, err := b.do("qlaunch", "down", name); err != nil {
		return 0, err
	}
	prompt := time.Now()
	at, err := ended()
	return prompt.Sub(at), err
}
