package main

import (
	"io"
	"reflect"
	"testing"
)

func TestOneCommandIsEnoughForALineThatNamesIt(t *testing.T) {
	for _, c := range []struct {
		line []string
		want string // the command; empty: the whole is needed
	}{
		{[]string{"version"}, "version"},
		{[]string{"-v", "up", "web", "--wait", "ssh"}, "up <name>"},
		{[]string{"--verbose", "start", "web"}, "up <name>"},
		{[]string{"ssh-config"}, "ssh-config"},
		{[]string{"unit-start", "web"}, "unit-start <name>"},
		{[]string{"net", "ls"}, "net ls"},
		{[]string{"up", "--help"}, ""},
		{[]string{"complete", "up", ""}, ""},
		{[]string{"verson"}, ""},
		{[]string{"-v"}, ""},
		{nil, ""},
	} {
		line, ok := oneCommand(c.line)
		if ok != (c.want != "") {
			t.Errorf("%q: %t", c.line, ok)
		}
		if !ok {
			continue
		}
		if n, all := line.NumField(), reflect.TypeFor[commandLine]().NumField(); n != 2 || all < 30 {
			t.Errorf("%q: %d fields of %d", c.line, n, all)
		}
		s := &session{stdout: io.Discard, stderr: io.Discard}
		call, verbose, err := s.parse(c.line)
		if err != nil {
			t.Errorf("%q: %v", c.line, err)
			continue
		}
		if got := call.Command(); got != c.want || verbose != (c.line[0] == "-v" || c.line[0] == "--verbose") {
			t.Errorf("%q: %q, verbose %t", c.line, got, verbose)
		}
	}
}

func TestWhatOneCommandDoesNotUnderstandIsForTheWhole(t *testing.T) {
	s := &session{stdout: io.Discard, stderr: io.Discard}
	_, _, err := s.parse([]string{"up", "--wrong"})
	if err == nil || err.Error() != "unknown flag --wrong" || commandOf(err) != "up" {
		t.Errorf("got %v of %q", err, commandOf(err))
	}
}
