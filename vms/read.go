package vms

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"syscall"
)

// largest is the most that a definition may have; a real one has a few
// hundred bytes.
const largest = 1 << 20

// ReadFile reads a definition: a regular file of at most 1 MiB that nobody else
// can write or replace; else the error is a [*WritableError]. Whoever writes a definition chooses which of the user's files the
// guest can read, so it is kept as ssh keeps its configuration (StrictModes in
// sshd_config(5)).
//
// Nothing that a path can lead to makes it wait. The file is looked at before it
// is opened, as opening a device can set something going (a watchdog, a tape),
// and after, as the path may lead elsewhere by then; O_NONBLOCK opens a FIFO
// that has no writer (open(2)).
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := checkFile(path, info); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err = f.Stat()
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(checkFile(path, info), checkAbove(path)); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, largest+1))
	if err != nil {
		return nil, err
	}
	if len(data) > largest {
		return nil, fmt.Errorf("%s: larger than 1 MiB", path)
	}
	return data, nil
}
