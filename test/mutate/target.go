package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A target is code whose tests are tried.
type target struct {
	name, path string
	files      []string
	tests      []string // the files with the tests that judge it: pure ones, which take no second
	skip       string   // tests of those that are left out, as for go test's -skip
}

func targets() []target {
	const module = "github.com/qlaunch/qlaunch/"
	return []target{
		{"argv", module + "launcher/qemu", []string{"argv.go", "opts.go"}, []string{"argv_test.go", "opts_test.go"}, ""},
		{"vms", module + "vms", []string{
			"parse.go", "decode.go", "check.go", "rules.go", "choice.go", "vm.go", "defaults.go", "duration.go",
			"errors.go", "forward.go", "mac.go", "name.go", "nearest.go", "size.go", "text.go",
		}, []string{"parse_test.go", "bounds_test.go", "env_test.go", "values_test.go", "wrong_test.go", "reference_test.go", "format_test.go"}, "HugeFiles"},
		{"setup", module + "netsetup/host", []string{"plan.go", "resolve.go", "spec.go", "texts.go"}, []string{"plan_test.go", "resolve_test.go"}, ""},
		{"judge", module + "netsetup/lease", []string{"judge.go", "rank.go"}, []string{"judge_test.go", "verdict_test.go"}, ""},
	}
}

var testFunction = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Example)\w*)\(`)

// pattern is what go test's -run chooses a target's tests by.
func (t target) pattern(dir string) (string, error) {
	var names []string
	for _, file := range t.tests {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			return "", err
		}
		for _, m := range testFunction.FindAllStringSubmatch(string(text), -1) {
			names = append(names, m[1])
		}
	}
	return "^(" + strings.Join(names, "|") + ")$", nil
}
