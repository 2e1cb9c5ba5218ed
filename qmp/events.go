package qmp

import (
	"context"
	"sync"

	goqemu "github.com/digitalocean/go-qemu/qmp"
)

const (
	// queueLength is how many events are kept for a reader, and for readers to come.
	queueLength = 256
	// maxEvent bounds one event, in bytes: what is kept must stay small whatever the guest makes QEMU say. Real ones have
	// some hundred.
	maxEvent = 16 << 10
)

// events keeps the newest events and hands them out. A guest can make QEMU send as many as it likes (RTC_CHANGE,
// BLOCK_IO_ERROR), so that nothing here waits for a reader: the oldest goes when a queue is full.
type events struct {
	mu      sync.Mutex
	history [queueLength]goqemu.Event // the newest, as a ring: number n is at n % queueLength
	total   uint64
	dropped uint64
	readers map[chan goqemu.Event]func() bool // each with what stops its wait for the end of its context
	closed  bool
}

func (q *events) publish(msg message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(msg.raw) > maxEvent {
		q.dropped++
		return
	}
	q.history[q.total%queueLength] = msg.event
	q.total++
	for reader := range q.readers {
		q.offer(reader, msg.event)
	}
}

// offer puts an event into a reader's queue. It cannot block: nobody else puts anything in while mu is held.
func (q *events) offer(reader chan goqemu.Event, e goqemu.Event) {
	for {
		select {
		case reader <- e:
			return
		default:
		}
		select {
		case <-reader:
			q.dropped++
		default: // the reader has just made room
		}
	}
}

func (q *events) subscribe(ctx context.Context) <-chan goqemu.Event {
	q.mu.Lock()
	defer q.mu.Unlock()
	reader := make(chan goqemu.Event, queueLength)
	kept := min(q.total, queueLength)
	q.dropped += q.total - kept
	for n := q.total - kept; n < q.total; n++ {
		reader <- q.history[n%queueLength]
	}
	if q.closed {
		close(reader)
		return reader
	}
	if q.readers == nil {
		q.readers = map[chan goqemu.Event]func() bool{}
	}
	q.readers[reader] = context.AfterFunc(ctx, func() { q.unsubscribe(reader) })
	return reader
}

func (q *events) unsubscribe(reader chan goqemu.Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, ok := q.readers[reader]; ok {
		delete(q.readers, reader)
		close(reader)
	}
}

// close ends every queue; what is in them, and in the history, stays to be read.
func (q *events) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for reader, stop := range q.readers {
		stop()
		delete(q.readers, reader)
		close(reader)
	}
}
