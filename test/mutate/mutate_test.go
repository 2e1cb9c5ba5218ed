package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// module writes a module of one package.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module example.org/p\n\ngo 1.26.0\n"
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const code = `package p

import "errors"

const most = 9 // no mutant: it is a constant

var count int

// add adds n, of which there can be at most nine.
func add(n int) (int, error) {
	if n > most || n < 0 {
		return 0, errors.New("too many")
	}
	for range n {
		count++
	}
	return count - 1, nil
}

func known(id string) bool { return id == "x" && count != 0 }
`

// lines are mutants in words.
func lines(list []mutant) []string {
	var words []string
	for _, m := range list {
		words = append(words, m.function+": "+m.source+" "+m.change)
	}
	return words
}

func TestEachChangeThatCompilesIsAMutant(t *testing.T) {
	s, err := load(t.Context(), module(t, map[string]string{"p.go": code}), ".")
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := s.mutants([]string{"p.go"})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"add: func add(n int) (int, error) is left at once",
		"add: n > most || n < 0 is true",
		"add: n > most || n < 0 is false",
		"add: n > most || n < 0 || becomes &&",
		"add: n > most > becomes >=",
		"add: n < 0 < becomes <=",
		"add: 0 is one more",
		"add: 0 is one less",
		`add: errors.New("too many") is returned as zero`,
		"add: { count++ } is left at once",
		"add: count++ is left out",
		"add: count - 1 is returned as zero",
		"add: count - 1 - becomes +",
		"add: 1 is one more",
		"add: 1 is one less",
		`known: id == "x" && count != 0 is the opposite`,
		`known: id == "x" && count != 0 && becomes ||`,
		"known: 0 is one more",
		"known: 0 is one less",
	}
	if diff := cmp.Diff(want, lines(got)); diff != "" {
		t.Error(diff)
	}
}

// These tests ask nothing of the bounds, and nothing of known.
const weak = `package p

import "testing"

func TestAdd(t *testing.T) {
	if n, err := add(3); n != 2 || err != nil {
		t.Error(n, err)
	}
	if _, err := add(20); err == nil {
		t.Error("20 are added")
	}
}
`

func TestWhatNoTestNoticesSurvives(t *testing.T) {
	dir := module(t, map[string]string{"p.go": code, "p_test.go": weak})
	s, err := load(t.Context(), dir, ".")
	if err != nil {
		t.Fatal(err)
	}
	all, got, err := target{files: []string{"p.go"}, tests: []string{"p_test.go"}}.judge(t.Context(), s, 2)
	if err != nil || all != 19 {
		t.Fatalf("%d mutants, %v", all, err)
	}
	want := []string{
		"add: n > most > becomes >=",
		"add: n < 0 < becomes <=",
		"add: 0 is one more",
		"add: 0 is one less",
		`known: id == "x" && count != 0 is the opposite`,
		`known: id == "x" && count != 0 && becomes ||`,
		"known: 0 is one more",
		"known: 0 is one less",
	}
	if diff := cmp.Diff(want, lines(got)); diff != "" {
		t.Error(diff)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "p.go")); string(text) != code || err != nil {
		t.Errorf("the source was touched: %v", err)
	}
}

func TestTestsThatFailWithoutAMutantJudgeNothing(t *testing.T) {
	dir := module(t, map[string]string{"p.go": code, "p_test.go": "package p\n\nimport \"testing\"\n\nfunc TestX(t *testing.T) { t.Error(\"no\") }\n"})
	s, err := load(t.Context(), dir, ".")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err = (target{files: []string{"p.go"}, tests: []string{"p_test.go"}}).judge(t.Context(), s, 1); err == nil {
		t.Error("no error")
	}
}

func TestAReasonIsForOneMutant(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mutants.md")
	text := "| target | function | source | change | reason |\n|---|---|---|---|---|\n| vms | `f` | `a \\|\\| b` | `\\|\\| becomes &&` | it is so |\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	reasons, err := readKnown(file)
	if err != nil || len(reasons) != 1 {
		t.Fatalf("%v, %v", reasons, err)
	}
	m := mutant{function: "f", source: "a || b", change: "|| becomes &&"}
	if explained(reasons, "argv", m) || reasons[0].seen {
		t.Error("another target's")
	}
	if !explained(reasons, "vms", m) || !reasons[0].seen {
		t.Error("not explained")
	}
}
