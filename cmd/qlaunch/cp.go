package main

import (
	"context"
	"fmt"

	"github.com/qlaunch/qlaunch/launcher"
)

type cpCmd struct {
	Paths     []string `arg:"" name:"path" help:"One file or more, and where they go: paths here, and NAME:PATH in a VM."`
	Recursive bool     `short:"r" help:"Copy a directory with all that is in it."`
}

func (cpCmd) Help() string {
	return "Copies files to a VM or from one: the last path is the target, the others are all on the other side. " +
		"Runs your own scp, as qlaunch ssh runs ssh; its exit code is passed through. To a guest without an sftp server it copies by scp's older protocol. " +
		"A path in a VM starts from its user's home directory. A name with a colon in it that is a file here is written with a slash before: ./a:b."
}

func (cpCmd) Example() string { return "qlaunch cp -r guestvm:/var/log ./logs" }

func (c *cpCmd) Run(ctx context.Context, s *session) error {
	code, err := launcher.Copy(ctx, s.env, launcher.CopyRequest{
		Paths: c.Paths, Recursive: c.Recursive, Stdin: s.stdin, Stdout: s.ownStdout, Stderr: s.ownStderr})
	switch {
	case isA[*launcher.PathsError](err):
		err = &usageError{err, "cp"}
	case err == nil && code == 0:
		return nil
	case err == nil:
		return exitError(code)
	}
	return fmt.Errorf("cp: %w", err)
}
