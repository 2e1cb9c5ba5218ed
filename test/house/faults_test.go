package house

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// sources are the project's files, by the end of their names.
func sources(t *testing.T, suffix string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && (entry.Name() == "build" || strings.HasPrefix(entry.Name(), ".") && len(entry.Name()) > 2) {
			return fs.SkipDir
		}
		if err == nil && strings.HasSuffix(path, suffix) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestEachTestThatTheFaultsNameExists(t *testing.T) {
	exists := map[string]bool{}
	for _, path := range sources(t, ".txtar") {
		exists[filepath.Base(path)] = true
	}
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	for _, path := range sources(t, "_test.go") {
		for _, m := range function.FindAllStringSubmatch(read(t, path), -1) {
			exists[m[1]] = true
		}
	}
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+|[\\w-]+\\.txtar)`").FindAllStringSubmatch(read(t, "../../docs/faults.md"), -1)
	if len(named) < 100 {
		t.Errorf("docs/faults.md names %d tests", len(named))
	}
	for _, m := range named {
		if !exists[m[1]] {
			t.Errorf("docs/faults.md names %s, which does not exist", m[1])
		}
	}
}

func TestNoTwoFaultsHaveOneNumber(t *testing.T) {
	seen := map[string]bool{"": true}
	for _, m := range regexp.MustCompile(`(?m)^\| ([A-Z][^|]*) \|`).FindAllStringSubmatch(read(t, "../../docs/faults.md"), -1) {
		if seen[m[1]] {
			t.Errorf("docs/faults.md has %s twice", m[1])
		}
		seen[m[1]] = true
	}
}

// A process with a parent's death signal dies with the thread that started it, which Go ends when it likes (https://go.dev/issue/27505).
func TestNoProcessEndsWithTheThreadThatStartedIt(t *testing.T) {
	for _, path := range sources(t, ".go") {
		if strings.HasPrefix(path, "../../test/") || strings.HasSuffix(path, "_test.go") {
			continue
		}
		if strings.Contains(read(t, path), "Pdeathsig") {
			t.Errorf("%s has a death signal", path)
		}
	}
}
