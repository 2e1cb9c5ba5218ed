package qemu

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/qmp"
	"github.com/qlaunch/qlaunch/vms"
)

func TestNothingToStopIsSaid(t *testing.T) {
	if _, err := Stop(t.Context(), testVM(t, noNIC), time.Second); !errors.Is(err, ErrNotRunning) {
		t.Errorf("error %v, want ErrNotRunning", err)
	}
}

func TestAGuestThatIgnoresThePowerButtonIsEndedByQuit(t *testing.T) {
	vm := testVM(t, noNIC) // no operating system: nobody hears the button
	start(t, vm)
	method, err := Stop(t.Context(), vm, 300*time.Millisecond)
	if err != nil || method != Quit {
		t.Errorf("%q, %v; want %q", method, err, Quit)
	}
	if IsRunning(vm) {
		t.Error("it runs")
	}
}

func TestAQEMUThatIsStoppedIsUnresponsiveAndEndsBySIGKILL(t *testing.T) {
	vm := testVM(t, noNIC)
	p := start(t, vm)
	if err := p.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	status, err := Ask(t.Context(), vm)
	if err != nil || status.State != Unresponsive || status.PID != p.PID || status.Reason != "QEMU is stopped by a signal" {
		t.Errorf("%+v, %v; want unresponsive", status, err)
	}
	method, err := Stop(t.Context(), vm, 0)
	if err != nil || method != Kill {
		t.Errorf("%q, %v; want %q", method, err, Kill)
	}
}

// QEMU removes its socket before its process ends: whoever comes in between must not take it for one that does not answer.
func TestAQEMUWithoutItsSocketIsGivenTimeToEnd(t *testing.T) {
	vm := testVM(t, noNIC)
	p := start(t, vm)
	if err := os.Remove(QMPSocket(vm)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	time.AfterFunc(300*time.Millisecond, func() { ended <- p.Signal(unix.SIGKILL) })
	if method, err := Stop(t.Context(), vm, 0); err != nil || method != Quit {
		t.Errorf("%q, %v; want %q", method, err, Quit)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAStopThatIsBrokenOffLeavesTheVMRunning(t *testing.T) {
	vm := testVM(t, noNIC)
	start(t, vm)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := Stop(ctx, vm, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
	if !IsRunning(vm) {
		t.Error("it does not run")
	}
}

func TestTheAgentIsAskedThenTheButtonIsPressedTwiceAndEachRungHasItsTime(t *testing.T) {
	type row struct {
		StopMethod StopMethod
		Wait       time.Duration
	}
	for timeout, want := range map[time.Duration][]row{
		0:                {},
		3 * time.Second:  {{GuestAgent, 5 * time.Second}, {PowerButton, 5 * time.Second}, {PowerButton, 3 * time.Second}},
		90 * time.Second: {{GuestAgent, 5 * time.Second}, {PowerButton, 5 * time.Second}, {PowerButton, 90 * time.Second}},
	} {
		want = append(want, row{Quit, 5 * time.Second}, row{Term, 5 * time.Second}, row{Kill, 5 * time.Second})
		steps := ladder(testVM(t, noNIC), nil, timeout)
		if len(steps) != len(want) {
			t.Fatalf("timeout %s: %d steps, want %d", timeout, len(steps), len(want))
		}
		for i, s := range steps {
			if got := (row{s.method, s.wait}); got != want[i] {
				t.Errorf("timeout %s: step %d is %v, want %v", timeout, i, got, want[i])
			}
			if asks := i < len(steps)-3; asks == s.until.IsZero() {
				t.Errorf("timeout %s: step %d ends at %s", timeout, i, s.until)
			}
		}
	}
}

func TestStepsShareTheTimeOfAllThatAskTheGuest(t *testing.T) {
	vm := testVM(t, noNIC)
	p := start(t, vm)
	s := step{method: PowerButton, wait: time.Minute, until: time.Now(), do: func(context.Context) error {
		t.Error("done though the time is over")
		return nil
	}}
	if ended, err := s.take(t.Context(), p); ended || err != nil {
		t.Error(ended, err)
	}
}

func TestWaitRunningReturnsWhenAnotherStartsTheVM(t *testing.T) {
	vm := testVM(t, noNIC)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	waited := make(chan error, 1)
	go func() {
		_, err := WaitRunning(ctx, vm)
		waited <- err
	}()
	start(t, vm)
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	if _, err := WaitRunning(ctx, vm); err != nil {
		t.Fatalf("of one that runs already: %v", err)
	}
}

func TestWaitRunningEndsAtItsDeadline(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := WaitRunning(ctx, testVM(t, noNIC)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the deadline", err)
	}
}

func TestAGuestIsGivenUpOnlyWhenNothingInItCanAnswer(t *testing.T) {
	halted := qmp.Processor{Halted: true, Protected: true, Long: true, IP: 0xffffffff81c3f0aa}
	idle := qmp.Processor{Halted: true, Interrupts: true, Protected: true, Long: true, IP: 0xffffffff81c3f0ab}
	busy := qmp.Processor{Protected: true, Long: true, IP: 0xffffffff81000000}
	bios := qmp.Processor{Halted: true, Interrupts: true, IP: 0xb7b9}
	parked := qmp.Processor{Halted: true, Protected: true, IP: 0xfd09a}
	uefi := qmp.Processor{Halted: true, Interrupts: true, Protected: true, Long: true, IP: 0xf059731}
	type list = []qmp.Processor
	tests := []struct {
		name     string
		all      list
		firmware vms.Firmware
		end      error
		want     error
	}{
		{"halt, one processor", list{halted}, vms.BIOS, nil, ErrHalted},
		{"halt, two", list{halted, halted}, vms.UEFI, nil, ErrHalted},
		{"an idle Linux", list{idle, idle}, vms.BIOS, nil, nil},
		{"a Linux of which one processor was not started", list{busy, halted}, vms.BIOS, nil, nil},
		{"the same, idle", list{idle, halted}, vms.BIOS, nil, nil},
		{"a busy one that prints the firmware's words", list{busy}, vms.BIOS, ErrNoBootDevice, nil},
		{"an idle one that prints them", list{idle}, vms.BIOS, ErrNoBootDevice, nil},
		{"an idle one under UEFI that prints them", list{idle}, vms.UEFI, ErrNoBootDevice, nil},
		{"SeaBIOS without a disk", list{bios, parked}, vms.BIOS, ErrNoBootDevice, ErrNoBootDevice},
		{"SeaBIOS that waits for a disk", list{bios, parked}, vms.BIOS, nil, nil},
		{"a boot loader's menu", list{bios, parked}, vms.BIOS, ErrBootLoader, nil},
		{"UEFI's shell", list{uefi, halted}, vms.UEFI, ErrNoBootDevice, ErrNoBootDevice},
		{"UEFI that waits for a disk", list{uefi}, vms.UEFI, nil, nil},
		{"none", nil, vms.BIOS, ErrNoBootDevice, nil},
	}
	for _, tt := range tests {
		if got := neverAnswers(tt.all, tt.firmware, tt.end); !errors.Is(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
