package lease

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// WaitAny waits for the address of a guest with several NICs; each has its Waiter. The first NIC of the list that has an
// address decides, as it does for Look. A NIC further down has to wait for a moment, since a guest asks on all its NICs
// at about the same time.
//
// The error is that of the NIC that came furthest, the first of several. progress is as for [Waiter.Wait]: it is called
// with the highest stage of any NIC, one call at a time.
func WaitAny(ctx context.Context, waiters []*Waiter, progress func(Stage)) (Address, error) {
	if len(waiters) == 1 {
		return waiters[0].Wait(ctx, progress)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ends, ended := waitSideBySide(ctx, waiters, progress)
	over := make([]bool, len(waiters))
	first := len(waiters) // the first NIC that has an address
	var calm <-chan time.Time
	for slices.Contains(over, false) {
		select {
		case i := <-ended:
			over[i] = true
			if ends[i].err != nil {
				break
			}
			if calm == nil {
				calm = time.After(settle)
			}
			first = min(first, i)
		case <-calm:
			stop()
		}
		if first < len(waiters) && !slices.Contains(over[:first], false) {
			stop()
		}
	}
	if first < len(waiters) {
		return ends[first].address, nil
	}
	return Address{}, furthest(ends)
}

// An end is what the wait of one NIC came to.
type end struct {
	address Address
	err     error
}

// waitSideBySide starts a Wait for each NIC. The channel gives the index of each that has ended, after its end is written.
func waitSideBySide(ctx context.Context, waiters []*Waiter, progress func(Stage)) ([]end, <-chan int) {
	ends, ended := make([]end, len(waiters)), make(chan int)
	var mu sync.Mutex
	stages := climb{tell: progress}
	for i, w := range waiters {
		go func() {
			ends[i].address, ends[i].err = w.Wait(ctx, func(s Stage) {
				mu.Lock()
				defer mu.Unlock()
				stages.to(s)
			})
			ended <- i
		}()
	}
	return ends, ended
}

// furthest is the error that says most: what broke a wait, or else the highest stage.
func furthest(ends []end) error {
	var most *WaitError
	for _, e := range ends {
		late, ok := errors.AsType[*WaitError](e.err)
		if !ok {
			return e.err
		}
		if most == nil || late.Stage > most.Stage {
			most = late
		}
	}
	return most
}
