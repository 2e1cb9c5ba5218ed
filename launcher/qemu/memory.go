package qemu

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/qlaunch/qlaunch/vms"
)

// What can be wrong with the memory of a VM.
var (
	ErrLittleMemory = errors.New("the guest may be killed when it uses all of its memory")
	ErrNoMemory     = errors.New("the host does not give the guest its memory")
)

// refusesMemory recognises QEMU's message if the kernel has no memory for the guest (ram_block_add in its
// softmmu/physmem.c).
func refusesMemory(words string) bool { return strings.Contains(words, "cannot set up guest memory") }

// memoryLeft returns how much memory a process in this control group can allocate, and the source of that number.
func memoryLeft(root string) (left vms.Size, where string, err error) {
	info, err := readNumbers(filepath.Join(root, "proc/meminfo"))
	if err != nil {
		return 0, "", cause(err)
	}
	available, swap := info["MemAvailable:"]*1024, info["SwapFree:"]*1024
	left = vms.Size(available + swap)
	where = fmt.Sprintf("the host has %v available and %v of swap", inMiB(available), inMiB(swap))
	group, limit := groupMemory(root)
	if limit < uint64(left) {
		left, where = vms.Size(limit), fmt.Sprintf("the control group %s has %v left", group, inMiB(limit))
	}
	return left, where, nil
}

// groupMemory returns how much memory the tightest limit of this process's control group and its parents leaves
// (cgroups(7), the unified hierarchy). It includes what the kernel can free, its page cache.
func groupMemory(root string) (group string, left uint64) {
	left = math.MaxUint64
	text, _ := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	_, path, unified := strings.Cut("\n"+string(text), "\n0::")
	if path, _, _ = strings.Cut(path, "\n"); !unified || !strings.HasPrefix(path, "/") {
		return "", left
	}
	for ; path != "/"; path = filepath.Dir(path) {
		dir := filepath.Join(root, "sys/fs/cgroup", path)
		limit, ok := readNumber(dir + "/memory.max") // "max" if there is no limit
		used, known := readNumber(dir + "/memory.current")
		if !ok || !known {
			continue
		}
		stat, _ := readNumbers(dir + "/memory.stat")
		used -= min(used, stat["inactive_file"]+stat["active_file"])
		if l := limit - min(limit, used); l < left {
			group, left = path, l
		}
	}
	return group, left
}

func readNumber(path string) (uint64, bool) {
	text, err := os.ReadFile(path)
	n, notNumber := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil && notNumber == nil
}

// readNumbers parses lines of a name and a number.
func readNumbers(path string) (map[string]uint64, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	numbers := map[string]uint64{}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			continue
		}
		if n, err := strconv.ParseUint(words[1], 10, 64); err == nil {
			numbers[words[0]] = n
		}
	}
	return numbers, nil
}

// withMemory adds to the error of a QEMU that got no memory how much it needed and how much there is.
func withMemory(vm vms.VM, err error) error {
	if !errors.Is(err, ErrNoMemory) {
		return err
	}
	_, where, e := memoryLeft("/")
	if e != nil {
		return err
	}
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &limit) == nil && limit.Cur != unix.RLIM_INFINITY {
		where = fmt.Sprintf("this session's limit of address space (ulimit -v) is %v", inMiB(limit.Cur))
	}
	return fmt.Errorf("memory = %q, and %s: %w", vm.Memory, where, err)
}
