package main

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// source is a package as it is, without its tests.
type source struct {
	Dir, ImportPath, Name, Export string
	DepOnly, Standard             bool
	GoFiles                       []string

	imported types.Importer
	text     map[string][]byte // by the file's name
}

// load reads a package of the module that dir is in, and has Go compile what it imports.
func load(ctx context.Context, dir, path string) (*source, error) {
	out, err := output(ctx, dir, "go", "list", "-export", "-deps", "-json=Dir,ImportPath,Name,Export,DepOnly,Standard,GoFiles",
		path, "cmp", "os", "strconv") // the last three are what the mutants import
	if err != nil {
		return nil, err
	}
	exports := map[string]string{}
	var asked *source
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		s := &source{}
		if err := d.Decode(s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		exports[s.ImportPath] = s.Export
		if !s.DepOnly && !s.Standard {
			asked = s
		}
	}
	if asked == nil {
		return nil, fmt.Errorf("go list: no package %s", path)
	}
	asked.imported = importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	asked.text = map[string][]byte{}
	for _, name := range asked.GoFiles {
		if asked.text[name], err = os.ReadFile(filepath.Join(asked.Dir, name)); err != nil {
			return nil, err
		}
	}
	return asked, nil
}

// parsed is a package's syntax with its types.
type parsed struct {
	fset  *token.FileSet
	files map[string]*ast.File
	info  *types.Info
}

// check parses and checks the package with some of its files in other words.
func (s *source) check(changed map[string][]byte) (parsed, error) {
	p := parsed{token.NewFileSet(), map[string]*ast.File{}, &types.Info{Types: map[ast.Expr]types.TypeAndValue{}}}
	var list []*ast.File
	add := func(name string, text []byte) error {
		file, err := parser.ParseFile(p.fset, name, text, parser.SkipObjectResolution)
		list, p.files[name] = append(list, file), file
		return err
	}
	for _, name := range s.GoFiles {
		text, ok := changed[name]
		if !ok {
			text = s.text[name]
		}
		if err := add(name, text); err != nil {
			return p, err
		}
	}
	if text, ok := changed[support]; ok {
		if err := add(support, text); err != nil {
			return p, err
		}
	}
	_, err := (&types.Config{Importer: s.imported}).Check(s.ImportPath, p.fset, list, p.info)
	return p, err
}

// support is the file beside the package's own that has what the mutants call.
const support = "mutants_of_this_build.go"

//go:embed mutants.go.txt
var supportText string

// mutants finds all mutants of some of the package's files, and leaves out what
// does not compile. The result has the text of each file with its mutants in it.
func (s *source) mutants(files []string) ([]mutant, map[string][]byte, error) {
	p, err := s.check(nil)
	if err != nil {
		return nil, nil, err
	}
	changed := map[string][]byte{support: []byte(strings.Replace(supportText, "PACKAGE", s.Name, 1))}
	var all []mutant
	for _, name := range files {
		file := p.files[name]
		if file == nil {
			return nil, nil, fmt.Errorf("%s has no file %s", s.ImportPath, name)
		}
		f := finder{fset: p.fset, file: file, text: s.text[name], info: p.info}
		good := slices.DeleteFunc(f.find(), func(m mutant) bool {
			_, err := s.check(map[string][]byte{support: changed[support], name: instrument(s.text[name], file.FileStart, []mutant{m})})
			return err != nil
		})
		for i := range good {
			good[i].id = len(all) + i + 1
		}
		all = append(all, good...)
		changed[name] = instrument(s.text[name], file.FileStart, good)
	}
	return all, changed, nil
}

// compile builds the package's tests with other texts for some files, and no file touched.
func (s *source) compile(ctx context.Context, changed map[string][]byte, dir string) (program string, err error) {
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for name, text := range changed {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			return "", err
		}
		overlay.Replace[filepath.Join(s.Dir, name)] = file
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return "", err
	}
	program = filepath.Join(dir, "tests")
	_, err = output(ctx, s.Dir, "go", "test", "-c", "-vet=off", "-overlay", file, "-o", program, ".")
	return program, err
}

// output runs a command and gives what it writes.
func output(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, args[0], err, strings.TrimSpace(words.String()+string(out)))
	}
	return out, nil
}
