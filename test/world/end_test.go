package world_test

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/qlaunch/qlaunch/test/world"
)

// Every process of the world holds the pipe that is its stdout, so the pipe's
// end tells that the last of them is gone.

func TestNothingOutlivesTheCommand(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	expectEnd(t, command(ctx, t, world.Options{}, "sh", "-c", "setsid sleep 600 & echo up"), func() {})
}

func TestNothingOutlivesTheContext(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	expectEnd(t, command(ctx, t, world.Options{}, "sh", "-c", "setsid sleep 600 & echo up; exec sleep 600"), cancel)
}

func TestNothingOutlivesTheOutermostProcess(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, self(t))
	cmd.Args = []string{"outermost"}
	expectEnd(t, cmd, func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
	})
}

// expectEnd starts cmd, ends it by end once it is up, and waits for the last
// process that has its stdout.
func expectEnd(t *testing.T, cmd *exec.Cmd, end func()) {
	t.Helper()
	output, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd.Stdout, cmd.Stderr = input, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	input.Close()
	reader := bufio.NewReader(output)
	if line, err := reader.ReadString('\n'); err != nil || line != "up\n" {
		t.Errorf("the world's first line: got %q, %v", line, err)
	}
	end()
	_ = cmd.Wait() // killed, in two of three
	if err := output.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(reader); err != nil || len(rest) > 0 {
		t.Errorf("after the end: got %q, %v; want nothing and the end of the pipe", rest, err)
	}
}
