package house

import (
	"go/ast"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// plainFailures are those whose code is that of any failure, and which no command cures.
func plainFailures() []string {
	return []string{
		"ErrNoAddress", "ErrNoBridgedNIC", "ErrNoSSHPath", "ImageError", "PathsError", "RequestError", "SizeError",
		"NameError",    // one of the failures of a command that was given several names: what is in it counts
		"TimeoutError", // is context.DeadlineExceeded, which has a row
	}
}

func TestEachFailureOfTheLibraryHasItsExitCodeAndCure(t *testing.T) {
	table := read(t, "../../cmd/qlaunch/hints.go")
	plain := plainFailures()
	found := 0
	for _, file := range productFiles(t)["launcher"] {
		for _, name := range failureNames(file) {
			found++
			listed := regexp.MustCompile(`\blauncher\.` + name + `\b`).MatchString(table)
			if known := slices.Contains(plain, name); listed == known {
				t.Errorf("launcher.%s: in the table of cmd/qlaunch/hints.go: %v, in the list of plain failures: %v", name, listed, known)
			}
		}
	}
	if found < 80 {
		t.Errorf("found %d failures", found)
	}
}

// failureNames are the exported errors that a file declares.
func failureNames(file *ast.File) []string {
	var names []string
	for _, d := range file.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range group.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() && strings.HasSuffix(spec.Name.Name, "Error") {
					names = append(names, spec.Name.Name)
				}
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					if strings.HasPrefix(name.Name, "Err") {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}
