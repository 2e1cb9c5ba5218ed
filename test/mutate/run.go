package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// judge is a package's tests, built with all mutants of it.
type judge struct {
	program, dir, tests, skip string // tests, skip: as for go test's -run and -skip
	limit                     time.Duration
}

// errNoJudge says that the tests do not pass without a mutant.
var errNoJudge = errors.New("the tests fail without a mutant")

// settle runs the tests without a mutant: they must pass, and their time is what each mutant's is measured by.
func (j *judge) settle(ctx context.Context) error {
	j.limit = 5 * time.Minute
	begin := time.Now()
	if noticed, words := j.try(ctx, 0); noticed {
		return fmt.Errorf("%w: %s", errNoJudge, words)
	}
	j.limit = 5*time.Second + 5*time.Since(begin)
	return nil
}

// try runs the tests with a mutant and says whether they fail, or do not end, which is the same.
func (j *judge) try(ctx context.Context, id int) (noticed bool, words string) {
	ctx, cancel := context.WithTimeout(ctx, j.limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, j.program, "-test.run", j.tests, "-test.skip", j.skip, "-test.failfast", "-test.count=1")
	cmd.Dir = j.dir
	cmd.Env = append(os.Environ(), "MUTANT="+strconv.Itoa(id))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // what the tests started too
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return true, fmt.Sprintf("%v: %s", err, bytes.TrimSpace(out.Bytes()))
	}
	if bytes.Contains(out.Bytes(), []byte("no tests to run")) {
		return true, "there is no test " + j.tests
	}
	return false, ""
}

// survivors are the mutants that no test notices, in their order. Some run side by side.
func (j *judge) survivors(ctx context.Context, mutants []mutant, sideBySide int) []mutant {
	survive := make([]bool, len(mutants))
	next := make(chan int)
	var workers sync.WaitGroup
	for range sideBySide {
		workers.Go(func() {
			for i := range next {
				noticed, _ := j.try(ctx, mutants[i].id)
				survive[i] = !noticed
			}
		})
	}
	for i := range mutants {
		next <- i
	}
	close(next)
	workers.Wait()
	var list []mutant
	for i, m := range mutants {
		if survive[i] {
			list = append(list, m)
		}
	}
	return list
}
