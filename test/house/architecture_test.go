package house

import (
	"go/ast"
	"path"
	"regexp"
	"testing"
)

// TestTheArchitectureNamesWhatIsThere holds docs/architecture.md to the code: `launcher/up.go: Up` is a function or a
// type of that file, `qemu.Start` an exported name of the package, and `launcher/up.go` a file.
func TestTheArchitectureNamesWhatIsThere(t *testing.T) {
	text := read(t, "../../docs/architecture.md")
	files := productFiles(t)
	var places, exported int
	for _, m := range regexp.MustCompile("`([a-z/]+)/([a-z_]+\\.go): (\\w+)`").FindAllStringSubmatch(text, -1) {
		places++
		if !declares(t, path.Join("../..", m[1], m[2]), m[3]) {
			t.Errorf("%s does not declare %s", path.Join(m[1], m[2]), m[3])
		}
	}
	for _, m := range regexp.MustCompile("`([a-z]+)\\.([A-Z]\\w+)`").FindAllStringSubmatch(text, -1) {
		exported++
		if !exports(files, m[1], m[2]) {
			t.Errorf("no package %s exports %s", m[1], m[2])
		}
	}
	if places < 12 || exported < 10 {
		t.Errorf("it names %d places and %d exported names", places, exported)
	}
}

// declares tells whether a Go file declares a function, a method or a type of that name.
func declares(t *testing.T, file, name string) bool {
	t.Helper()
	return regexp.MustCompile(`(?m)^(func (\([^)]*\) )?|type )` + name + `\b`).MatchString(read(t, file))
}

// exports tells whether a package of that name declares a function or a type.
func exports(files map[string][]*ast.File, pkg, name string) bool {
	for dir, parsed := range files {
		if path.Base(dir) != pkg {
			continue
		}
		for _, file := range parsed {
			for _, d := range file.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					if d.Recv == nil && d.Name.Name == name {
						return true
					}
				case *ast.GenDecl:
					for _, spec := range d.Specs {
						if s, ok := spec.(*ast.TypeSpec); ok && s.Name.Name == name {
							return true
						}
					}
				}
			}
		}
	}
	return false
}
