package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// examples are those at the ends of the golden --help texts, by the names of their files.
func examples(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/help/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no --help texts:", err)
	}
	all := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		all[strings.TrimSuffix(filepath.Base(file), ".txt")] = strings.TrimSpace(lines[len(lines)-1])
	}
	return all
}

// example NAME types the example of a --help into a shell, which must end well. examples-left NAME…
// are all that a script has not typed.
func typeExample(all map[string]string) map[string]func(*testscript.TestScript, bool, []string) {
	const typed = "EXAMPLES"
	return map[string]func(*testscript.TestScript, bool, []string){
		"example": func(ts *testscript.TestScript, neg bool, args []string) {
			if neg || len(args) != 1 || all[args[0]] == "" {
				ts.Fatalf("usage: example NAME, a file of testdata/help without its ending")
			}
			ts.Setenv(typed, ts.Getenv(typed)+" "+args[0])
			ts.Logf("$ %s", all[args[0]])
			ts.Check(ts.Exec("bash", "-c", all[args[0]]))
		},
		"examples-left": func(ts *testscript.TestScript, _ bool, args []string) {
			done := append(strings.Fields(ts.Getenv(typed)), args...)
			for name := range all {
				if !slices.Contains(done, name) {
					ts.Fatalf("the example of %s is not typed, nor among those that are left", name)
				}
			}
		},
	}
}
