package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// productFiles parses the program's own Go files, by the folder of their package.
func productFiles(t *testing.T) map[string][]*ast.File {
	t.Helper()
	files := map[string][]*ast.File{}
	for _, path := range sources(t, ".go") {
		path = filepath.ToSlash(path)
		if strings.HasPrefix(path, "../../test/") || strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		pkg := strings.TrimPrefix(filepath.Dir(path), "../../")
		files[pkg] = append(files[pkg], file)
	}
	if len(files["launcher"]) == 0 || len(files["cmd/qlaunch"]) == 0 {
		t.Fatalf("there are packages %v", len(files))
	}
	return files
}

// receiver is the name of the type that a method is of; empty for a function.
func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return ""
	}
	of := f.Recv.List[0].Type
	if pointer, ok := of.(*ast.StarExpr); ok {
		of = pointer.X
	}
	if generic, ok := of.(*ast.IndexExpr); ok {
		of = generic.X
	}
	return of.(*ast.Ident).Name
}

// mostMethods is the most that a type may have before nobody knows it.
const mostMethods = 20

func TestNoTypeHasMoreMethodsThanAPersonKnows(t *testing.T) {
	for pkg, files := range productFiles(t) {
		methods := map[string]int{}
		for _, file := range files {
			for _, d := range file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil {
					methods[receiver(f)]++
				}
			}
		}
		for name, n := range methods {
			if n > mostMethods {
				t.Errorf("%s.%s has %d methods", pkg, name, n)
			}
		}
	}
}

// understood are the methods whose names say it all: those of interfaces of Go's own.
var understood = map[string]bool{"Error": true, "String": true, "Unwrap": true, "MarshalText": true, "UnmarshalText": true}

func TestEachExportedNameHasAComment(t *testing.T) {
	for pkg, files := range productFiles(t) {
		if pkg == "cmd/qlaunch" {
			continue // it exports nothing: kong and launcher ask for its capitals
		}
		for _, file := range files {
			for _, d := range file.Decls {
				for _, name := range uncommented(d) {
					t.Errorf("%s.%s has no comment", pkg, name)
				}
			}
		}
	}
}

// uncommented are the exported names of a declaration that have no comment, of their own or their group's.
func uncommented(d ast.Decl) []string {
	var names []string
	switch d := d.(type) {
	case *ast.FuncDecl:
		of := receiver(d)
		hidden := of != "" && !ast.IsExported(of) || of != "" && understood[d.Name.Name]
		if d.Name.IsExported() && d.Doc == nil && !hidden {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
					names = append(names, spec.Name.Name)
				}
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					if name.IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}
