package lease

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// WaitAny waits for the address of a guest with several NICs; each has its Waiter. It returns the address of the
// first NIC in the list that has one, as Look does. The address of a later NIC is returned only after a moment, since
// a guest requests addresses for all its NICs at about the same time.
//
// The error is that of the NIC that reached the highest stage, the first of several. progress is as for
// [Waiter.Wait]: it is called with the highest stage of any NIC, by one goroutine at a time.
func WaitAny(ctx context.Context, waiters []*Waiter, progress func(Stage)) (Address, error) {
	if len(waiters) == 1 {
		return waiters[0].Wait(ctx, progress)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ends, ended := waitSideBySide(ctx, waiters, progress)
	over := make([]bool, len(waiters))
	first := len(waiters) // the first NIC that has an address
	var settled <-chan time.Time
	for slices.Contains(over, false) {
		select {
		case i := <-ended:
			over[i] = true
			if ends[i].err != nil {
				break
			}
			if settled == nil {
				settled = time.After(settleTime)
			}
			first = min(first, i)
		case <-settled:
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

// end is the result of the wait for one NIC.
type end struct {
	address Address
	err     error
}

// waitSideBySide starts a Wait for each NIC. The channel receives the index of each that has ended, after its end is
// set.
func waitSideBySide(ctx context.Context, waiters []*Waiter, progress func(Stage)) ([]end, <-chan int) {
	ends, ended := make([]end, len(waiters)), make(chan int)
	var mu sync.Mutex
	stages := stageReporter{tell: progress}
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

// furthest returns the most informative error: one that broke a wait, else the one with the highest stage.
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
