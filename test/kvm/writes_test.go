package kvm

import (
	"context"
	"os/exec"
	"testing"
	"time"
)

func TestAGuestRunsWhenItHasWrittenItsText(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := writes(exec.CommandContext(ctx, "sh", "-c", "echo SeaBIOS; echo it runs; exec sleep 600"), "it runs"); err != nil || ctx.Err() != nil {
		t.Errorf("a guest that writes it and stays: %v", err)
	}
	if err := writes(exec.CommandContext(ctx, "sh", "-c", "echo SeaBIOS; echo no >&2; exit 3"), "it runs"); err == nil || err.Error() != "exit status 3\nno\n" {
		t.Errorf("a guest that writes something else and ends: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := writes(exec.CommandContext(ctx, "sleep", "600"), "it runs"); err == nil {
		t.Error("a guest that is silent until the deadline: it runs")
	}
}
