package main

import (
	"cmp"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/test/world"
)

// binary measures the program itself: how long it takes to do nothing, and how large it is.
func (b *bench) binary() error {
	var took, nothing []time.Duration
	for range 5 * b.pairs {
		version, err := b.do("qlaunch", "version")
		if err != nil {
			return err
		}
		empty, err := b.do("true")
		if err != nil {
			return err
		}
		took, nothing = append(took, version), append(nothing, empty)
	}
	r := within("`qlaunch version`", 5*time.Millisecond, took)
	r.Measured += "; `true`: " + ms(median(nothing))
	b.add(r)
	program := filepath.Join(world.Dir, "bin/qlaunch")
	info, err := os.Stat(program)
	if err != nil {
		return err
	}
	costs, err := moduleSizes(program)
	if err != nil {
		return err
	}
	b.add(row{"the binary, with symbols", "–", fmt.Sprintf("%.1f MB", float64(info.Size())/1e6), "–"},
		row{"of it, the code and data of each module", "–", strings.Join(costs, ", "), "–"})
	return nil
}

// moduleSizes attributes the symbols of a program to the modules that it was built of, the largest first. What has no package
// in its name, the tables of types and of lines among it, is nobody's.
func moduleSizes(program string) ([]string, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return nil, err
	}
	file, err := elf.Open(program)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	symbols, err := file.Symbols()
	if err != nil {
		return nil, err
	}
	modules := []string{info.Main.Path}
	for _, d := range info.Deps {
		modules = append(modules, d.Path)
	}
	sizes := map[string]uint64{}
	for _, s := range symbols {
		if int(s.Section) < len(file.Sections) && file.Sections[s.Section].Type != elf.SHT_NOBITS { // else it is made at the start, of zeros
			sizes[moduleOf(s.Name, modules)] += s.Size
		}
	}
	var costs []string
	names := slices.SortedFunc(func(yield func(string) bool) {
		for name := range sizes {
			if name != "" && sizes[name] >= 1000 && !yield(name) {
				return
			}
		}
	}, func(a, b string) int { return cmp.Compare(sizes[b], sizes[a]) })
	for _, name := range names {
		costs = append(costs, fmt.Sprintf("%s %d kB", name, sizes[name]/1000))
	}
	return costs, nil
}

// moduleOf is the module of a symbol: that of the longest path which its name begins with, Go's own library, or nothing.
func moduleOf(symbol string, modules []string) string {
	symbol = strings.TrimPrefix(symbol, "go:")
	longest := ""
	for _, m := range modules {
		rest, ok := strings.CutPrefix(symbol, m)
		if ok && len(m) > len(longest) && (strings.HasPrefix(rest, "/") || strings.HasPrefix(rest, ".")) {
			longest = m
		}
	}
	first, _, _ := strings.Cut(symbol, "/")
	switch {
	case longest != "":
		return longest
	case strings.HasPrefix(symbol, "main."):
		return modules[0]
	case strings.Contains(symbol, ".") && !strings.Contains(symbol, ":") && (first == symbol || !strings.Contains(first, ".")):
		return "Go's own library"
	}
	return ""
}
