package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
)

// testdata/help/NAME.txt is what `qlaunch NAME --help` prints, and qlaunch.txt the program's own; net-ls.txt that of `net ls`.
func TestHelpIsThatOfTheGoldenFile(t *testing.T) {
	for name, argv := range helpLines(t) {
		t.Run(name, func(t *testing.T) {
			got := helpOf(t, argv)
			golden := filepath.Join("testdata/help", name+".txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// The last line of each help can be typed: each qlaunch in it is a command line that parses.
func TestEveryHelpEndsWithAnExampleThatParses(t *testing.T) {
	called := regexp.MustCompile(`qlaunch [^&|<>()]+`)
	for name, argv := range helpLines(t) {
		help := helpOf(t, argv)
		_, example, found := strings.Cut(help, "\nExample:\n  ")
		commands := called.FindAllString(example, -1)
		if !found || strings.Count(example, "\n") != 1 || commands == nil {
			t.Errorf("%s: ends with %q", name, example)
		}
		for _, command := range commands {
			if _, err := parserFor(t, io.Discard).Parse(strings.Fields(command)[1:]); err != nil {
				t.Errorf("%s: %s: %v", name, command, err)
			}
		}
	}
}

// helpLines are the command lines that ask for help, one for each command and one for all.
func helpLines(t *testing.T) map[string][]string {
	t.Helper()
	lines := map[string][]string{"qlaunch": {"--help"}}
	addHelpLines(lines, parserFor(t, io.Discard).Model.Children)
	return lines
}

func addHelpLines(lines map[string][]string, commands []*kong.Node) {
	for _, command := range commands {
		if !command.Hidden {
			words := strings.Fields(wordsOf(command))
			lines[strings.Join(words, "-")] = append(words, "--help")
			addHelpLines(lines, command.Children)
		}
	}
}

// helpOf is what a command line that asks for help prints before it ends the program.
func helpOf(t *testing.T, argv []string) (text string) {
	t.Helper()
	t.Setenv("COLUMNS", "80")
	var printed bytes.Buffer
	defer func() {
		if end := recover(); end != exited(0) {
			t.Fatalf("%q ended with %v", argv, end)
		}
		text = printed.String()
	}()
	_, err := parserFor(t, &printed).Parse(argv)
	panic(err)
}

// exited is what the program would have ended with.
type exited int

func parserFor(t *testing.T, stdout io.Writer) *kong.Kong {
	t.Helper()
	s := &session{stdout: stdout, stderr: io.Discard, exit: func(code int) { panic(exited(code)) }}
	parser, err := newParser(&commandLine{}, s)
	if err != nil {
		t.Fatal(err)
	}
	return parser
}
