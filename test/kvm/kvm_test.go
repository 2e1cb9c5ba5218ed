package kvm_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/qlaunch/qlaunch/test/kvm"
	"github.com/qlaunch/qlaunch/test/world"
)

// TestMain is three programs: the tests, the first process of a world, and in
// there, called "asks", one that asks and prints the answers.
func TestMain(m *testing.M) {
	if code, ok := world.Main(os.Args, os.Stdin, os.Stdout, os.Stderr); ok {
		os.Exit(code)
	}
	if filepath.Base(os.Args[0]) == "asks" {
		os.Exit(asks())
	}
	os.Exit(m.Run())
}

// answers are all that a test can ask; "" is yes.
type answers struct {
	Node                    bool
	Opens, HostCPU, Running string
}

func asks() int {
	ctx := context.Background()
	text := func(err error) string { return strings.TrimSpace(strings.TrimPrefix(fmt.Sprint(err), "<nil>")) }
	out, err := json.Marshal(answers{kvm.Node(), text(kvm.Opens()), text(kvm.HostCPUStarts(ctx)), text(kvm.Runs(ctx))})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Printf("%s\n", out)
	return 0
}

// in asks in a world.
func in(t *testing.T, o world.Options) answers {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	o.Copy = map[string]string{"bin/asks": program}
	cmd, err := world.Command(ctx, o, "asks")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var a answers
	if err := json.Unmarshal(out, &a); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return a
}

const (
	absent = "/dev/kvm: no such file or directory: the kvm module is not loaded, or the CPU's virtualization is switched off in the firmware"
	closed = "/dev/kvm: permission denied: this user may not open it"
)

func TestEachAnswerOfKVMIsGotOnAnyMachine(t *testing.T) {
	for _, c := range []struct {
		what string
		o    world.Options
		root bool
		want answers
	}{
		{"there is none", world.Options{KVM: "absent"}, false, answers{false, absent, absent, absent}},
		{"this user may not open it", world.Options{KVM: "closed"}, true, answers{true, closed, closed, closed}},
		{"it starts the default CPU", world.Options{HostCPU: "starts"}, false, answers{Node: true}},
		{"it refuses a register of the default CPU", world.Options{HostCPU: "aborts"}, false,
			answers{Node: true, HostCPU: "signal: aborted: qemu-system-x86_64: error: failed to set MSR 0x10a to 0x69"}},
		{"it is closed, whatever is behind it", world.Options{KVM: "closed", HostCPU: "aborts"}, true, answers{true, closed, closed, closed}},
		{"it runs nothing", world.Options{HostCPU: "starts", Setup: `printf '#!/bin/sh\necho no >&2; exit 3\n' >$WORLD_DIR/bin/qemu-system-x86_64`}, false,
			answers{true, "", "exit status 3: no", "exit status 3\nno"}},
	} {
		t.Run(c.what, func(t *testing.T) {
			if c.root && os.Geteuid() != 0 {
				t.Skip("only root can make such a world")
			}
			if diff := cmp.Diff(c.want, in(t, c.o)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What this machine has is asked too, with the same program: no answer is wrong, but the later ones need the earlier.
func TestTheAnswersOfThisMachineFit(t *testing.T) {
	got := in(t, world.Options{})
	if !got.Node && got.Opens == "" || got.Opens != "" && (got.HostCPU == "" || got.Running == "") {
		t.Errorf("%+v", got)
	}
	t.Logf("%+v", got)
}
