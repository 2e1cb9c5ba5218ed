package lease

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// patience bounds the waits in these tests; none of them takes anything like it.
const patience = time.Minute

// In these tests the bridge is one that the kernel does not have: they are about files alone. The kernel's side is
// tested in private_network_test.go.

// newHost is an empty host, and a query for the guest on it.
func newHost(t *testing.T) Query {
	t.Helper()
	return Query{Root: t.TempDir(), Bridge: "virbr0", MAC: guestMAC}
}

// put writes a file of the host's in place, with its directories.
func put(t *testing.T, q Query, path, text string) {
	t.Helper()
	full := filepath.Join(q.Root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// begun is when the tests were: a line that is written twice is to be the same lease.
var begun = time.Now()

// leaseLine is a line of dnsmasq's for the guest that ends in the future.
func leaseLine(ip string, sec int64) string {
	return fmt.Sprintf("%d %s %s guestvm 01:%[2]s\n", begun.Add(time.Hour).Unix()+sec, guestMAC, ip)
}

func mustWaiter(t *testing.T, q Query) *Waiter {
	t.Helper()
	w, err := newWaiter(q, virbr0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// answer is what Wait gives back, in words.
type answer struct {
	Address, Source, Freshness, Err string
}

// await begins to wait, and gives the answer when asked. It returns when Wait has looked once.
func await(t *testing.T, w *Waiter) func() answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	done := make(chan answer, 1)
	go func() { done <- wait(ctx, w) }()
	return func() answer { return <-done }
}

func wait(ctx context.Context, w *Waiter) answer {
	a, err := w.Wait(ctx, nil)
	if err != nil {
		return answer{Err: err.Error()}
	}
	return answer{Address: a.IP.String(), Source: string(a.Source), Freshness: string(a.Freshness)}
}

func expect(t *testing.T, want, got answer) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

const debian = "var/lib/misc/dnsmasq.leases"

func TestWaitSeesALeaseHoweverItsFileComes(t *testing.T) {
	const (
		status   = "var/lib/libvirt/dnsmasq/virbr0.status"
		networkd = "run/systemd/netif/dhcp-server-lease/virbr0"
	)
	json := fmt.Sprintf(`[{"ip-address":"192.168.122.62","mac-address":"%s","expiry-time":%d}]`, guestMAC, time.Now().Unix()+3600)
	tests := []struct {
		name          string
		before, after func(t *testing.T, q Query)
		source        string
	}{
		{"in a file that is there",
			func(t *testing.T, q Query) { put(t, q, debian, "") },
			func(t *testing.T, q Query) { put(t, q, debian, leaseLine("192.168.122.62", 0)) }, "dnsmasq"},
		{"in a file that comes later",
			func(t *testing.T, q Query) { put(t, q, "var/lib/misc/other", "") },
			func(t *testing.T, q Query) { put(t, q, debian, leaseLine("192.168.122.62", 0)) }, "dnsmasq"},
		{"in a directory that comes later",
			func(*testing.T, Query) {},
			func(t *testing.T, q Query) {
				put(t, q, "var/lib/qlaunch/virbr0.leases", leaseLine("192.168.122.62", 0))
			}, "dnsmasq"},
		{"in a directory that goes and comes again",
			func(t *testing.T, q Query) { put(t, q, debian, "") },
			func(t *testing.T, q Query) {
				if err := os.RemoveAll(filepath.Join(q.Root, "var")); err != nil {
					t.Fatal(err)
				}
				put(t, q, debian, leaseLine("192.168.122.62", 0))
			}, "dnsmasq"},
		{"in a file that replaces another",
			func(t *testing.T, q Query) { put(t, q, status, "[]") },
			func(t *testing.T, q Query) {
				put(t, q, status+".new", json)
				if err := os.Rename(filepath.Join(q.Root, status+".new"), filepath.Join(q.Root, status)); err != nil {
					t.Fatal(err)
				}
			}, "libvirt"},
		{"in networkd's",
			func(t *testing.T, q Query) { put(t, q, "run/systemd/netif/state", "") },
			func(t *testing.T, q Query) {
				put(t, q, networkd, `{"Leases":[{"ClientId":[1,82,84,0,83,82,177],"Address":[192,168,122,62]}]}`)
			}, "networkd"},
		{"in NetworkManager's",
			func(*testing.T, Query) {},
			func(t *testing.T, q Query) {
				put(t, q, "var/lib/NetworkManager/dnsmasq-virbr0.leases", leaseLine("192.168.122.62", 0))
			}, "NetworkManager"},
		{"beside an old one of another address",
			func(t *testing.T, q Query) { put(t, q, debian, leaseLine("192.168.122.70", 100)) },
			func(t *testing.T, q Query) {
				put(t, q, debian, leaseLine("192.168.122.70", 100)+leaseLine("192.168.122.62", 0))
			}, "dnsmasq"},
		{"which renews an old one",
			func(t *testing.T, q Query) { put(t, q, debian, leaseLine("192.168.122.62", -100)) },
			func(t *testing.T, q Query) { put(t, q, debian, leaseLine("192.168.122.62", 0)) }, "dnsmasq"},
		{"behind a symbolic link",
			func(t *testing.T, q Query) {
				put(t, q, "elsewhere/leases", "")
				put(t, q, "var/lib/misc/other", "")
				if err := os.Symlink("../../../elsewhere/leases", filepath.Join(q.Root, debian)); err != nil {
					t.Fatal(err)
				}
			},
			func(t *testing.T, q Query) { put(t, q, "elsewhere/leases", leaseLine("192.168.122.62", 0)) }, "dnsmasq"},
		{"while another source is no file",
			func(t *testing.T, q Query) { mkfifo(t, q, debian) },
			func(t *testing.T, q Query) {
				put(t, q, "var/lib/dnsmasq/dnsmasq.leases", leaseLine("192.168.122.62", 0))
			}, "dnsmasq"},
	}
	for _, test := range tests {
		want := answer{Address: "192.168.122.62", Source: test.source, Freshness: "this start"}
		t.Run("before Wait: "+test.name, func(t *testing.T) {
			q := newHost(t)
			test.before(t, q)
			w := mustWaiter(t, q)
			test.after(t, q)
			expect(t, want, await(t, w)())
		})
		t.Run("during Wait: "+test.name, func(t *testing.T) {
			q := newHost(t)
			test.before(t, q)
			got := await(t, mustWaiter(t, q))
			test.after(t, q)
			expect(t, want, got())
		})
	}
}

func mkfifo(t *testing.T, q Query, path string) {
	t.Helper()
	full := filepath.Join(q.Root, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(full, 0o644); err != nil {
		t.Fatal(err)
	}
}

// dnsmasq empties its file and writes it again. Here it does so a byte at a time, with old leases before and behind.
func TestHalfALineIsNeverAnAddress(t *testing.T) {
	others := "1895437000 52:54:00:00:00:07 192.168.122.7 other *\n"
	old := leaseLine("192.168.122.99", 500)
	for range 5 {
		q := newHost(t)
		put(t, q, debian, others+old)
		got := await(t, mustWaiter(t, q))
		f, err := os.OpenFile(filepath.Join(q.Root, debian), os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []byte(others + old + leaseLine("192.168.122.62", 0) + others) {
			if _, err := f.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
			runtime.Gosched()
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		expect(t, answer{Address: "192.168.122.62", Source: "dnsmasq", Freshness: "this start"}, got())
	}
}

// The old lease stands behind what the baseline could read, and must not pass for a new one.
func TestALeaseThatWasBeingWrittenWhenTheWaitBeganIsOld(t *testing.T) {
	q := newHost(t)
	old := leaseLine("192.168.122.62", 0)
	put(t, q, debian, old[:len(old)-9])
	w := mustWaiter(t, q)
	put(t, q, debian, old)
	if s := mustLook(t, w); s.acceptance != never || s.reports[0].Addresses[0].Freshness != Older {
		t.Errorf("the old lease is taken for %s", s.reports[0].Addresses[0].Freshness)
	}
	put(t, q, debian, leaseLine("192.168.122.62", 1))
	if s := mustLook(t, w); s.acceptance != now {
		t.Error("the new lease is not believed")
	}
}

func mustLook(t *testing.T, w *Waiter) observation {
	t.Helper()
	s, err := w.look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAnOldLeaseIsNoAnswerUntilTheDeadline(t *testing.T) {
	q := newHost(t)
	put(t, q, debian, leaseLine("192.168.122.62", 0))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	expect(t, answer{Err: "no address for 52:54:00:53:52:b1 on virbr0: the guest has sent no frames: context deadline exceeded"},
		wait(ctx, mustWaiter(t, q)))
}

func TestALeaseOfARunningGuestIsBelievedAtOnce(t *testing.T) {
	q := newHost(t)
	q.Since = time.Now().Add(-time.Minute)
	put(t, q, debian, leaseLine("192.168.122.62", 0))
	expect(t, answer{Address: "192.168.122.62", Source: "dnsmasq", Freshness: "unknown"}, await(t, mustWaiter(t, q))())
}

func TestALeaseOutsideTheSubnetIsNoAnswer(t *testing.T) {
	q := newHost(t)
	w := mustWaiter(t, q)
	put(t, q, debian, leaseLine("10.0.0.62", 0))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := w.Wait(ctx, nil)
	var waitErr *WaitError
	if !errors.As(err, &waitErr) {
		t.Fatal(err)
	}
	want := "10.0.0.62: refused, outside the bridge's 192.168.122.0/24"
	if diff := cmp.Diff(want, waitErr.Reports[0].Verdict); diff != "" {
		t.Error(diff)
	}
}

func TestWaitEndsWithItsContextAndPassesTheCauseOn(t *testing.T) {
	died := errors.New("QEMU has died")
	for _, when := range []string{"before", "during"} {
		w := mustWaiter(t, newHost(t))
		ctx, cancel := context.WithCancelCause(t.Context())
		if when == "before" {
			cancel(died)
		}
		done := make(chan error, 1)
		go func() {
			_, err := w.Wait(ctx, nil)
			done <- err
		}()
		cancel(died)
		err := <-done
		var waitErr *WaitError
		if !errors.Is(err, died) || !errors.As(err, &waitErr) || waitErr.Stage != Silent {
			t.Errorf("%s: %v", when, err)
		}
		want := "no address for 52:54:00:53:52:b1 on virbr0: the guest has sent no frames: QEMU has died"
		if diff := cmp.Diff(want, fmt.Sprint(err)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAWaiterCanWaitAgain(t *testing.T) {
	q := newHost(t)
	w := mustWaiter(t, q)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Wait(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	put(t, q, debian, leaseLine("192.168.122.62", 0))
	expect(t, answer{Address: "192.168.122.62", Source: "dnsmasq", Freshness: "this start"}, await(t, w)())
}

func TestProgressTellsTheStagesUpwards(t *testing.T) {
	q := newHost(t)
	w := mustWaiter(t, q)
	put(t, q, debian, leaseLine("192.168.122.62", 0))
	var stages []Stage
	if _, err := w.Wait(t.Context(), func(s Stage) { stages = append(stages, s) }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Stage{Addressed}, stages); diff != "" {
		t.Error(diff)
	}
}

func TestThereIsNoWaiterWithoutABridge(t *testing.T) {
	_, err := NewWaiter(Query{Root: t.TempDir(), Bridge: "nosuchbr0", MAC: guestMAC})
	if diff := cmp.Diff("bridge nosuchbr0: no such interface", fmt.Sprint(err)); diff != "" {
		t.Error(diff)
	}
}

func TestThereIsNoWaiterWithoutItsRoot(t *testing.T) {
	_, err := newWaiter(Query{Root: "/nonexistent/root", Bridge: "virbr0", MAC: guestMAC}, virbr0)
	if diff := cmp.Diff("watch /nonexistent/root: no such file or directory", fmt.Sprint(err)); diff != "" {
		t.Error(diff)
	}
}

func TestASourceThatThisUserMayNotReadIsSaidSoAndPassedOver(t *testing.T) {
	q := newHost(t)
	const nm = "var/lib/NetworkManager/dnsmasq-virbr0.leases"
	put(t, q, nm, leaseLine("192.168.122.99", 0))
	put(t, q, debian, "")
	dir := filepath.Join(q.Root, filepath.Dir(nm))
	if err := errors.Join(os.Chmod(dir, 0o700), os.Chmod(filepath.Dir(q.Root), 0o755)); err != nil {
		t.Fatal(err)
	}
	if unix.Getuid() != 0 {
		if err := os.Chmod(dir, 0); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = os.Chmod(dir, 0o700) }() // for the directory's removal
	}
	got := make(chan answer, 1)
	reports := make(chan []Report, 1)
	ready := make(chan error, 1)
	go func() {
		asNobody(t)
		reports <- Look(t.Context(), q)
		w, err := newWaiter(q, virbr0)
		ready <- err
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		got <- wait(ctx, w)
		ready <- w.Close()
	}()
	if diff := cmp.Diff("not asked: permission denied", (<-reports)[6].Verdict); diff != "" {
		t.Error(diff)
	}
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	put(t, q, debian, leaseLine("192.168.122.62", 0))
	expect(t, answer{Address: "192.168.122.62", Source: "dnsmasq", Freshness: "this start"}, <-got)
	if err := <-ready; err != nil {
		t.Error(err)
	}
}

// asNobody makes the calling goroutine an ordinary user towards the file system. The goroutine keeps its thread, and
// ends with it. fsuid is a thread's own, and root's override of permissions goes with it (credentials(7)).
func asNobody(t *testing.T) {
	runtime.LockOSThread()
	if unix.Getuid() == 0 {
		if err := unix.Setfsuid(65534); err != nil {
			t.Error(err)
		}
	}
}

func TestALeaseFileIsReadWithinBounds(t *testing.T) {
	q := newHost(t)
	put(t, q, debian, strings.Repeat(leaseLine("192.168.122.62", 0), 10<<20/70))
	mkfifo(t, q, "var/lib/dnsmasq/dnsmasq.leases")
	var got []string
	for _, r := range Look(t.Context(), q)[:3] {
		got = append(got, r.Verdict)
	}
	if diff := cmp.Diff([]string{"not asked: larger than 4 MiB", "not asked: not a regular file", "not asked: absent"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestLookStopsAskingWhenItsContextEnds(t *testing.T) {
	q := newHost(t)
	put(t, q, debian, leaseLine("192.168.122.62", 0))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	if diff := cmp.Diff("not asked: enough", Look(ctx, q)[0].Verdict); diff != "" {
		t.Error(diff)
	}
}
