package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// work is what the guest does to its disk; each part prints how many hundredths of a second it took. What is written
// is no zeros, which some variants would not write.
const work = `set -e
yes qlaunch | head -c 67108864 >data
now() { read -r up rest </proc/uptime; echo "${up%.*}${up#*.}"; }
part() { from=$(now); "$@" 2>said || { cat said >&2; exit 1; }; echo $(($(now) - from)); }
flushed() { for i in $(seq 40); do dd if=data of=/dev/vda bs=4k count=1 seek=$i conv=fsync || return; done; }
read_it() { for i in $(seq 8); do dd if=/dev/vda of=/dev/null bs=1M count=64 iflag=direct || return; done; }
part dd if=data of=/dev/vda bs=1M conv=fsync
part read_it
part dd if=data of=/dev/vda bs=4k count=4000 oflag=direct
part dd if=/dev/vda of=/dev/null bs=4k count=4000 iflag=direct
part flushed`

func parts() []string {
	return []string{"64 MiB written and flushed", "read 8 times", "4,000 writes of 4 KiB", "reads", "40 writes, each flushed"}
}

// variant is a way to give the guest a disk: the default's, changed.
type variant struct {
	name   string
	format string
	change func(backend, file, device map[string]any)
	args   []string // more of QEMU's, which come first
}

func variants() []variant {
	return []variant{
		{"`aio=io_uring`", "qcow2", func(_, file, _ map[string]any) { file["aio"] = "io_uring" }, nil},
		{"`aio=native`, `cache.direct=on`", "qcow2", func(backend, file, _ map[string]any) {
			file["aio"] = "native"
			backend["cache"], file["cache"] = map[string]any{"direct": true}, map[string]any{"direct": true}
		}, nil},
		{"`detect-zeroes=unmap`", "qcow2", func(backend, _, _ map[string]any) { backend["detect-zeroes"] = "unmap" }, nil},
		{"an iothread", "qcow2", func(_, _, device map[string]any) { device["iothread"] = "io0" }, []string{"-object", "iothread,id=io0"}},
		{"`num-queues=1`", "qcow2", func(_, _, device map[string]any) { device["num-queues"] = 1 }, nil},
		{"a raw image", "raw", func(backend, _, _ map[string]any) { backend["driver"] = "raw"; delete(backend, "backing") }, nil},
	}
}

// diskRounds is the most rounds in which each variant is measured once: a round takes a minute.
const diskRounds = 5

// disk holds other ways to give a guest a disk against the default, on the file system of /var/tmp.
func (b *bench) disk() (err error) {
	dir, err := os.MkdirTemp("/var/tmp", "qlaunch-bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	list := variants()
	if err := b.defineDisks(dir, list); err != nil {
		return err
	}
	var rounds [][][]float64 // seconds, by round, variant and part; the last variant is the default
	for range min(b.pairs, diskRounds) {
		took := make([][]float64, len(list)+1)
		for _, i := range rand.Perm(len(took)) {
			if took[i], err = b.timeDisk(dir, i, list); err != nil {
				return err
			}
		}
		rounds = append(rounds, took)
	}
	b.add(row{"a guest's disk by default (qcow2), on the file system of /var/tmp, in seconds", "–", eachPart(rounds, func(took [][]float64, part int) float64 { return took[len(list)][part] }), "–"})
	for i, v := range list {
		over := func(took [][]float64, part int) float64 { return took[i][part] / took[len(list)][part] }
		b.add(row{v.name + ", over that", "–", eachPart(rounds, over), "–"})
	}
	return nil
}

// eachPart is the median of a number that each round gives for each part of the work, with the least and the most.
func eachPart(rounds [][][]float64, number func(took [][]float64, part int) float64) string {
	var cells []string
	for part, name := range parts() {
		var numbers []float64
		for _, took := range rounds {
			numbers = append(numbers, number(took, part))
		}
		slices.Sort(numbers)
		cells = append(cells, fmt.Sprintf("%s %.2f (%.2f–%.2f)", name, median(numbers), numbers[0], numbers[len(numbers)-1]))
	}
	return strings.Join(cells, "; ")
}

const sshOfGuest = `
[ssh]
user     = "root"
identity = "/mnt/guest/id_ed25519"
`

func vmOf(i int) string { return fmt.Sprintf("disk%d", i) }

// defineDisks writes a definition for each variant, from QEMU's arguments for the default's disk.
func (b *bench) defineDisks(dir string, list []variant) error {
	text := fmt.Sprintf("%s%s\n[[disk]]\npath = %q\nsize = \"1GiB\"\n", strings.Replace(realGuest, "cpus   = 1", "cpus   = 2", 1), sshOfGuest, filepath.Join(dir, "image"))
	if err := b.define(vmOf(len(list)), text); err != nil {
		return err
	}
	_, line, err := b.call("qlaunch", "argv", vmOf(len(list)))
	if err != nil {
		return err
	}
	own, _, _ := strings.Cut(text, "\n[[disk]]")
	for i, v := range list {
		args, err := v.arguments(line)
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		if err := b.define(vmOf(i), own+"\n[qemu]\nargs = ["+args+"]\n"); err != nil {
			return err
		}
	}
	return nil
}

// Where QEMU's line, as argv prints it, has the disk.
var (
	backendPattern = regexp.MustCompile(`-blockdev '(.*)'`)
	devicePattern  = regexp.MustCompile(`-device (virtio-blk-pci,\S*)`)
)

// arguments are QEMU's for the variant's disk, as elements of a TOML list.
func (v variant) arguments(line string) (string, error) {
	var backend map[string]any
	node, device := backendPattern.FindStringSubmatch(line), devicePattern.FindStringSubmatch(line)
	if node == nil || device == nil {
		return "", errors.New("the default's line has no disk")
	}
	if err := json.Unmarshal([]byte(node[1]), &backend); err != nil {
		return "", err
	}
	file, ok := backend["file"].(map[string]any)
	if !ok {
		return "", errors.New("the default's disk is no file")
	}
	more := map[string]any{}
	v.change(backend, file, more)
	value, err := json.Marshal(backend)
	if err != nil {
		return "", err
	}
	disk := []string{device[1]}
	for key, value := range more {
		disk = append(disk, fmt.Sprintf("%s=%v", key, value))
	}
	args := append(slices.Clone(v.args), "-blockdev", string(value), "-device", strings.Join(disk, ","))
	for i, arg := range args {
		args[i] = strconv.Quote(arg)
	}
	return strings.Join(args, ", "), nil
}

// timeDisk boots a guest with a fresh disk, and gives the seconds that each part of the work takes.
func (b *bench) timeDisk(dir string, i int, list []variant) ([]float64, error) {
	image, vm := filepath.Join(dir, "image"), vmOf(i)
	if err := os.RemoveAll(image); err != nil {
		return nil, err
	}
	if i < len(list) {
		if _, err := b.do("qemu-img", "create", "-q", "-f", list[i].format, image, "1G"); err != nil {
			return nil, err
		}
	}
	if _, err := b.do("qlaunch", "up", "--wait", "ssh", vm); err != nil {
		return nil, err
	}
	_, out, err := b.call("qlaunch", "ssh", vm, "--", "sh", "-c", "'"+work+"'")
	if err != nil {
		return nil, err
	}
	var took []float64
	for word := range strings.FieldsSeq(out) {
		hundredths, err := strconv.Atoi(word)
		if err != nil {
			return nil, err
		}
		took = append(took, max(float64(hundredths), 1)/100)
	}
	if len(took) != len(parts()) {
		return nil, fmt.Errorf("%s: %d parts, want %d", vm, len(took), len(parts()))
	}
	b.say("%s: %.2f s", vm, took)
	_, err = b.do("qlaunch", "down", "--force", vm)
	return took, err
}
