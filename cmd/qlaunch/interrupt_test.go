package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

// interrupt is a program: interrupt WHEN PROGRAM ARG… runs the program and sends
// it SIGINT when the file WHEN appears, or, for tcp:ADDRESS, when somebody
// connects there. Its exit code is the program's.
func interrupt() {
	moment, err := theMoment(os.Args[1])
	fail(err)
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	fail(cmd.Start())
	go func() {
		fail(moment())
		_ = cmd.Process.Signal(syscall.SIGINT)
	}()
	_ = cmd.Wait()
	os.Exit(cmd.ProcessState.ExitCode())
}

// theMoment gives a function that returns at the moment that when says.
func theMoment(when string) (func() error, error) {
	address, isTCP := strings.CutPrefix(when, "tcp:")
	if !isTCP {
		return func() error { return until(when, exists) }, nil
	}
	l, err := net.Listen("tcp", address)
	return func() error {
		_, err := l.Accept()
		return err
	}, err
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// until waits until a file is as it should be. Its directory must be there.
func until(path string, good func(path string) bool) error {
	watch, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watch.Close()
	if err := watch.Add(filepath.Dir(path)); err != nil {
		return err
	}
	deadline := time.After(patience)
	for !good(path) {
		select {
		case <-watch.Events:
		case err := <-watch.Errors:
			return err
		case <-deadline:
			text, _ := os.ReadFile(path)
			return errors.New("still not so: " + fmt.Sprintf("%s: %q", path, text))
		}
	}
	return nil
}
