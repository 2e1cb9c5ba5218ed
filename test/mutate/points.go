package main

import (
	"go/ast"
	"go/constant"
	"go/token"
	"go/types"
	"strings"
)

// A mutant is one change of the source that a test should notice.
type mutant struct {
	id       int
	file     string // as the package names it
	line     int
	function string
	source   string // what is changed, in one line
	change   string // "is true", "< becomes <=" …
	edits    []edit
}

// An edit puts text into the source. What several put at one place is nested by
// the length of what they enclose.
type edit struct {
	at, until token.Pos // the text between them is replaced; the same: put in
	text      string
	span      token.Pos // the length of what is enclosed
	closes    bool      // it stands behind what is enclosed
}

// finder collects the mutants of a file.
type finder struct {
	fset     *token.FileSet
	file     *ast.File
	text     []byte
	info     *types.Info
	function string
	results  *ast.FieldList // of the innermost function
	found    []mutant
}

// find goes through the bodies of a file's functions.
func (f *finder) find() []mutant {
	for _, d := range f.file.Decls {
		decl, ok := d.(*ast.FuncDecl)
		if !ok || decl.Body == nil {
			continue
		}
		f.function = decl.Name.Name
		f.body(decl.Type, decl.Body)
	}
	return f.found
}

// body finds what can be changed in a function, and in those that it has in it.
func (f *finder) body(kind *ast.FuncType, body *ast.BlockStmt) {
	outer := f.results
	f.results = kind.Results
	f.entry(kind, body)
	f.walk(body)
	f.results = outer
}

// walk finds what can be changed in a node and below it.
func (f *finder) walk(n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			f.body(n.Type, n.Body)
			return false
		case *ast.ArrayType: // its length is a constant
			return false
		case *ast.ReturnStmt:
			f.returned(n)
			if last := len(n.Results) - 1; last > 0 && isNewError(n.Results[last]) {
				f.walk(n.Results[last]) // nobody looks at what is beside an error
				return false
			}
		default:
			f.node(n)
		}
		return true
	})
}

// node finds what can be changed at one node.
func (f *finder) node(n ast.Node) {
	switch n := n.(type) {
	case *ast.IfStmt:
		f.condition(n.Cond)
	case *ast.ForStmt:
		f.loop(n.Cond, n.Body)
	case *ast.RangeStmt:
		f.loop(nil, n.Body)
	case *ast.SwitchStmt:
		f.cases(n)
	case *ast.BlockStmt:
		f.statements(n.List)
	case *ast.CaseClause:
		f.statements(n.Body)
	case *ast.BinaryExpr:
		f.binary(n)
	case *ast.BasicLit:
		f.number(n)
	}
}

// add keeps a mutant whose node is enclosed by two texts, and the operator, if
// there is one, replaced by a third.
func (f *finder) add(n ast.Node, change string, edits ...edit) {
	position := f.fset.Position(n.Pos())
	source := strings.Join(strings.Fields(string(f.text[position.Offset:f.fset.Position(n.End()).Offset])), " ")
	if r := []rune(source); len(r) > 60 {
		source = string(r[:59]) + "…"
	}
	f.found = append(f.found, mutant{file: position.Filename, line: position.Line, function: f.function, source: source, change: change, edits: edits})
}

// enclose puts a text before and one behind a node.
func enclose(n ast.Node, before, behind string) []edit {
	span := n.End() - n.Pos()
	return []edit{{n.Pos(), n.Pos(), before, span, false}, {n.End(), n.End(), behind, span, true}}
}

// call makes a node the last argument of one of the functions in mutants.go.txt.
func call(n ast.Node, name string) []edit { return enclose(n, name+"(\x00, ", ")") }

func (f *finder) condition(cond ast.Expr) {
	f.add(cond, "is true", call(cond, "mutantTrue")...)
	f.add(cond, "is false", call(cond, "mutantFalse")...)
}

// loop: its body is not run. For a condition that is always true there is no test but one that never ends.
func (f *finder) loop(cond ast.Expr, body *ast.BlockStmt) {
	if cond != nil {
		f.add(cond, "is false", call(cond, "mutantFalse")...)
		return
	}
	at := body.Lbrace + 1
	f.add(body, "is left at once", edit{at, at, " if mutantIs(\x00) { break }; ", 0, true})
}

// cases are conditions where the switch has no tag.
func (f *finder) cases(n *ast.SwitchStmt) {
	for _, s := range n.Body.List {
		for _, e := range s.(*ast.CaseClause).List {
			if n.Tag == nil {
				f.condition(e)
			}
		}
	}
}

// statements can be left out, one by one.
func (f *finder) statements(list []ast.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				continue
			}
		case *ast.ExprStmt, *ast.IncDecStmt, *ast.SendStmt, *ast.DeferStmt:
		case *ast.BranchStmt:
			if s.Tok != token.CONTINUE && s.Tok != token.BREAK {
				continue
			}
		default:
			continue
		}
		f.add(s, "is left out", enclose(s, "if !mutantIs(\x00) { ", " }")...)
	}
}

// operators are what a comparison, a sum or a conjunction becomes.
func operators(op token.Token) (becomes token.Token, function string, lazy bool) {
	switch op {
	case token.LSS:
		return token.LEQ, "mutantLSS", false
	case token.LEQ:
		return token.LSS, "mutantLEQ", false
	case token.GTR:
		return token.GEQ, "mutantGTR", false
	case token.GEQ:
		return token.GTR, "mutantGEQ", false
	case token.ADD:
		return token.SUB, "mutantADD", false
	case token.SUB:
		return token.ADD, "mutantSUB", false
	case token.MUL:
		return token.QUO, "mutantMUL", false
	case token.QUO:
		return token.MUL, "mutantQUO", false
	case token.LAND:
		return token.LOR, "mutantAND", true
	case token.LOR:
		return token.LAND, "mutantOR", true
	}
	return token.ILLEGAL, "", false
}

func (f *finder) binary(n *ast.BinaryExpr) {
	t := f.info.Types[n]
	becomes, function, lazy := operators(n.Op)
	if function == "" || t.Value != nil || isText(t.Type) {
		return
	}
	edits := call(n, function)
	until := n.OpPos + token.Pos(len(n.Op.String()))
	if lazy {
		edits[1].text = " })"
		edits = append(edits, edit{n.OpPos, until, ", func() bool { return ", 0, false})
	} else {
		edits = append(edits, edit{n.OpPos, until, ", ", 0, false})
	}
	f.add(n, n.Op.String()+" becomes "+becomes.String(), edits...)
}

func isText(t types.Type) bool {
	basic, ok := t.Underlying().(*types.Basic)
	return ok && basic.Info()&types.IsString != 0
}

// number is one more, and one less. A constant that was calculated is one number.
func (f *finder) number(n *ast.BasicLit) {
	t := f.info.Types[n]
	basic, ok := t.Type.(*types.Basic)
	if !ok || n.Kind != token.INT || basic.Info()&types.IsInteger == 0 || t.Value == nil || t.Value.Kind() != constant.Int {
		return
	}
	kind := basic.Name()
	if basic.Info()&types.IsUntyped != 0 {
		kind = "int"
	}
	f.add(n, "is one more", enclose(n, "mutantMore["+kind+"](\x00, ", ")")...)
	if kind[0] != 'u' || n.Value != "0" {
		f.add(n, "is one less", enclose(n, "mutantLess["+kind+"](\x00, ", ")")...)
	}
}

// types gives the text of each result's type.
func (f *finder) types() []string {
	var list []string
	if f.results == nil {
		return nil
	}
	for _, field := range f.results.List {
		for range max(1, len(field.Names)) {
			list = append(list, string(f.text[f.fset.Position(field.Type.Pos()).Offset:f.fset.Position(field.Type.End()).Offset]))
		}
	}
	return list
}

// returned is the zero value in place of what is returned, and the other truth.
func (f *finder) returned(n *ast.ReturnStmt) {
	kinds := f.types()
	if len(n.Results) != len(kinds) {
		return // a call with several results
	}
	for i, e := range n.Results {
		switch t := f.info.Types[e]; {
		case i < len(n.Results)-1 && isNewError(n.Results[len(n.Results)-1]):
		case kinds[i] == "bool":
			f.add(e, "is the opposite", call(e, "mutantNot")...)
		case t.IsNil() || isZero(t.Value) || isEmpty(e):
		default:
			f.add(e, "is returned as zero", enclose(e, "mutantZero["+kinds[i]+"](\x00, ", ")")...)
		}
	}
}

// isNewError says whether an expression is an error that is made there, so not nil.
func isNewError(e ast.Expr) bool {
	c, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	name, ok := c.Fun.(*ast.SelectorExpr)
	return ok && (name.Sel.Name == "Errorf" || name.Sel.Name == "New")
}

// isEmpty says whether an expression is a struct without a field.
func isEmpty(e ast.Expr) bool {
	c, ok := e.(*ast.CompositeLit)
	return ok && len(c.Elts) == 0
}

func isZero(v constant.Value) bool {
	if v == nil {
		return false
	}
	switch v.Kind() {
	case constant.String:
		return constant.StringVal(v) == ""
	case constant.Int:
		return constant.Sign(v) == 0
	default:
		return false
	}
}

// entry leaves a function at once, with zero values.
func (f *finder) entry(kind *ast.FuncType, body *ast.BlockStmt) {
	if len(body.List) == 0 {
		return
	}
	if _, only := body.List[0].(*ast.ReturnStmt); only {
		return // what it returns is changed already
	}
	var zeros, names []string
	for i, t := range f.types() {
		name := "mutantResult" + string(rune('a'+i))
		zeros, names = append(zeros, "var "+name+" "+t+"; "), append(names, name)
	}
	text := " if mutantIs(\x00) { " + strings.Join(zeros, "") + "return " + strings.Join(names, ", ") + " }; "
	at := body.Lbrace + 1
	f.add(kind, "is left at once", edit{at, at, text, 1, true})
}
