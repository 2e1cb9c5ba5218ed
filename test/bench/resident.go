package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// resident is the memory of all processes that run one of the programs, in bytes.
func resident(programs ...string) (int64, error) {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, dir := range all {
		program, err := os.Readlink(filepath.Join(dir, "exe"))
		if err != nil || !slices.Contains(programs, program) {
			continue // a process of the world's root, or none any more
		}
		status, err := os.ReadFile(filepath.Join(dir, "status"))
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(status), "\nVmRSS:")
		var kib int64
		if _, err := fmt.Sscan(rest, &kib); err != nil {
			return 0, fmt.Errorf("%s: no VmRSS: %w", dir, err)
		}
		sum += kib << 10
	}
	return sum, nil
}
