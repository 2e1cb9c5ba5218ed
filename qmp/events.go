package qmp

import (
	"context"
	"sync"

	goqemu "github.com/digitalocean/go-qemu/qmp"
)

const (
	// queueLength is the number of events that are kept for each reader, and for later readers.
	queueLength = 256
	// maxEvent is the maximal size of an event, in bytes. It limits the memory that a guest can make us use; real
	// events have some hundred bytes.
	maxEvent = 16 << 10
)

// events keeps the newest events and passes them to readers. A guest can make QEMU send any number of them
// (RTC_CHANGE, BLOCK_IO_ERROR), so nothing here waits for a reader: a full queue loses its oldest event.
type events struct {
	mu      sync.Mutex
	history [queueLength]goqemu.Event // the newest, as a ring: number n is at n % queueLength
	total   uint64
	dropped uint64
	readers map[chan goqemu.Event]func() bool // the value stops the wait for the end of the reader's context
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

// offer puts an event into a reader's queue. It cannot block, since mu is held and nothing else writes to the queue.
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

// close closes every queue; events in them, and in the history, can still be read.
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
