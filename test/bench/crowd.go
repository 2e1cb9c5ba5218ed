package main

import (
	"fmt"
	"time"
)

// many is how many VMs are started at once.
const many = 30

// crowd starts many VMs at once, by one command of ours and by as many shells. The guests' processors stand still
// (-S): else thirty booting guests would be what is measured.
func (b *bench) crowd() error {
	var names []string
	for i := range many {
		name := fmt.Sprintf("vm%d", i+1)
		names = append(names, name)
		if err := b.define(name, realGuest+"\n[qemu]\nargs = [\"-S\"]\n"); err != nil {
			return err
		}
	}
	raw, err := b.prepareRaw(names...)
	if err != nil {
		return err
	}
	p, err := b.pair(func() (time.Duration, error) { return b.upThenDown(names...) }, func() (time.Duration, error) { return b.timeRaw(raw) })
	b.add(p.atMost(fmt.Sprintf("%d VMs by one `up --wait running` over %d shells at once, until all answer (guests' CPUs stopped)", many, many), 1.15))
	return err
}
