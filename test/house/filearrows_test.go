package house

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// An arrow leads from a file to another of its package that it depends on.
type arrow struct{ pkg, from, to string }

// backward are the arrows that run back, each with its reason.
var backward = map[arrow]string{}

// backwardShare is how many arrows there are at least for each that runs back.
const backwardShare = 50

// fileArrows are the arrows between the files of one package: for each file the files that it depends on, each with
// a name that is declared there.
type fileArrows map[string]map[string]string

// A file depends on another of its package where it uses a name, a method or a field that is declared there. Without
// the arrows that are named in backward, there is no way from a file back to itself.
func TestFilesDependOnEachOtherInOneDirection(t *testing.T) {
	packages := arrowsOfFiles(t)
	all := 0
	for _, arrows := range packages {
		for _, to := range arrows {
			all += len(to)
		}
	}
	for a := range backward {
		if _, is := packages[a.pkg][a.from][a.to]; !is {
			t.Errorf("%v is no arrow, and needs no exception", a)
		}
		delete(packages[a.pkg][a.from], a.to)
	}
	for a := range backward {
		if packages[a.pkg].path(a.to, a.from) == nil {
			t.Errorf("%v is part of no cycle, and needs no exception", a)
		}
	}
	for pkg, arrows := range packages {
		if cycle := arrows.cycle(); cycle != nil {
			t.Errorf("files of %s depend on each other: %s", pkg, arrows.describe(cycle))
		}
	}
	if len(backward)*backwardShare > all {
		t.Errorf("%d of %d arrows between files run back, more than one in %d", len(backward), all, backwardShare)
	}
	t.Logf("%d arrows between files, %d of them run back", all, len(backward))
}

// cycle is the shortest cycle of files that depend on each other, its first file again at its end; nil: there is none.
func (arrows fileArrows) cycle() []string {
	var shortest []string
	for _, from := range slices.Sorted(maps.Keys(arrows)) {
		for _, to := range slices.Sorted(maps.Keys(arrows[from])) {
			back := arrows.path(to, from)
			if back != nil && (shortest == nil || len(back)+1 < len(shortest)) {
				shortest = append([]string{from}, back...)
			}
		}
	}
	return shortest
}

// path is the shortest way along the arrows from one file to another, both included; nil: there is none.
func (arrows fileArrows) path(from, to string) []string {
	seen := map[string]bool{from: true}
	for ways := [][]string{{from}}; len(ways) > 0; ways = ways[1:] {
		at := ways[0][len(ways[0])-1]
		if at == to {
			return ways[0]
		}
		for _, next := range slices.Sorted(maps.Keys(arrows[at])) {
			if !seen[next] {
				seen[next] = true
				ways = append(ways, append(slices.Clone(ways[0]), next))
			}
		}
	}
	return nil
}

// describe shows a way along the arrows, each with the name that makes it.
func (arrows fileArrows) describe(way []string) string {
	var steps []string
	for i, to := range way[1:] {
		steps = append(steps, fmt.Sprintf("%s → %s (%s)", way[i], to, arrows[way[i]][to]))
	}
	return strings.Join(steps, ", ")
}

// arrowsOfFiles are the arrows between the files of each package of the program, without its tests.
func arrowsOfFiles(t *testing.T) map[string]fileArrows {
	t.Helper()
	list := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Dir,GoFiles,Export", module+"...")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	type listed struct {
		ImportPath, Dir, Export string
		GoFiles                 []string
	}
	exports := map[string]string{}
	var ours []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		exports[p.ImportPath] = p.Export
		if pkg, is := strings.CutPrefix(p.ImportPath, module); is && !strings.HasPrefix(pkg, "test/") {
			ours = append(ours, p)
		}
	}
	fset := token.NewFileSet()
	compiled := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	found := map[string]fileArrows{}
	for _, p := range ours {
		var files []*ast.File
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
		config := types.Config{Importer: compiled}
		pkg, err := config.Check(p.ImportPath, fset, files, info)
		if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimPrefix(p.ImportPath, module)] = arrowsIn(pkg, fset, info)
	}
	return found
}

// arrowsIn are the arrows between the files of one package.
func arrowsIn(pkg *types.Package, fset *token.FileSet, info *types.Info) fileArrows {
	arrows := fileArrows{}
	for ident, object := range info.Uses {
		if object.Pkg() != pkg {
			continue
		}
		from := filepath.Base(fset.Position(ident.Pos()).Filename)
		to := filepath.Base(fset.Position(object.Pos()).Filename)
		if from == to { // what is declared in a function is used in its file alone
			continue
		}
		if arrows[from] == nil {
			arrows[from] = map[string]string{}
		}
		if name, known := arrows[from][to]; !known || object.Name() < name {
			arrows[from][to] = object.Name()
		}
	}
	return arrows
}
