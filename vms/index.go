package vms

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// position is a place in a file, line and column counted from 1.
type position struct{ line, column int }

// index knows where each key of a TOML text stands. The keys are joined with
// dots, and the elements of a list are counted from 0: "disk.1.path".
type index struct {
	lines []int // where each line begins
	// at is where a key stands first.
	at map[string]position
	// first is where a key stood first, by the place where it comes again.
	first map[position]position
	// tables counts the tables of each [[list]].
	tables map[string]int
}

// deepest is how many parts a key of ours can have: nic.0.forward.1. Whatever
// is nested deeper is unknown from its first parts on.
const deepest = 4

// indexOf walks the syntax tree of a TOML text. A mistake in the syntax ends
// the walk: the decoder will name it.
func indexOf(data []byte) index {
	x := index{
		lines:  []int{0},
		at:     map[string]position{},
		first:  map[position]position{},
		tables: map[string]int{},
	}
	for i, b := range data {
		if b == '\n' {
			x.lines = append(x.lines, i+1)
		}
	}
	p := unstable.Parser{}
	p.Reset(data)
	var table []string
	for p.NextExpression() {
		switch node := p.Expression(); node.Kind {
		case unstable.Table:
			parts, at := x.key(node)
			table = x.place(parts)
			x.put(table, at)
		case unstable.ArrayTable:
			parts, at := x.key(node)
			list := x.place(parts)
			name := strings.Join(list, ".")
			table = append(list, strconv.Itoa(x.tables[name]))
			x.tables[name]++
			x.keep(list, at)
			x.put(table, at)
		case unstable.KeyValue:
			x.pair(node, table)
		}
	}
	return x
}

// pair records a key with all that its value holds.
func (x index) pair(node *unstable.Node, table []string) {
	parts, at := x.key(node)
	path := slices.Concat(table, parts)
	for n := len(table) + 1; n < len(path); n++ {
		x.keep(path[:n], at)
	}
	x.put(path, at)
	x.value(node.Value(), path, at)
}

// value records what stands inside a list or an inline table.
func (x index) value(node *unstable.Node, path []string, at position) {
	if len(path) >= deepest {
		return
	}
	children := node.Children()
	for i := 0; children.Next(); i++ {
		child := children.Node()
		switch node.Kind {
		case unstable.InlineTable:
			x.pair(child, path)
		case unstable.Array:
			element := append(slices.Clone(path), strconv.Itoa(i))
			where := at
			if child.Raw.Length > 0 {
				where = x.position(int(child.Raw.Offset))
			}
			x.keep(element, where)
			x.value(child, element, where)
		}
	}
}

// key is the parts of a node's key, and where the first of them stands. Parts
// beyond the deepest are left out: a file can hold a key of half a million.
func (x index) key(node *unstable.Node) ([]string, position) {
	it := node.Key()
	it.Next()
	at := x.position(int(it.Node().Raw.Offset))
	parts := []string{string(it.Node().Data)}
	for len(parts) <= deepest && it.Next() {
		parts = append(parts, string(it.Node().Data))
	}
	return parts, at
}

// place puts the number of the newest table after each list that a header's
// key goes through: [disk.extra] belongs to the last [[disk]].
func (x index) place(parts []string) []string {
	var path []string
	for i, part := range parts {
		path = append(path, part)
		if n := x.tables[strings.Join(path, ".")]; n > 0 && i < len(parts)-1 {
			path = append(path, strconv.Itoa(n-1))
		}
	}
	return path
}

// put records a key that may stand in a file once.
func (x index) put(path []string, at position) {
	if len(path) > deepest {
		return
	}
	if before, again := x.at[strings.Join(path, ".")]; again {
		x.first[at] = before
	}
	x.keep(path, at)
}

// keep records where a key stands, unless it stood somewhere before.
func (x index) keep(path []string, at position) {
	if len(path) > deepest {
		return
	}
	name := strings.Join(path, ".")
	if _, known := x.at[name]; !known {
		x.at[name] = at
	}
}

// position is the place of a byte.
func (x index) position(offset int) position {
	n, exact := slices.BinarySearch(x.lines, offset)
	if !exact {
		n--
	}
	return position{line: n + 1, column: offset - x.lines[n] + 1}
}

// find is where a key stands, or the nearest table around it, or the file's
// first byte.
func (x index) find(path string) position {
	for {
		if at, ok := x.at[path]; ok {
			return at
		}
		if path == "" {
			return position{1, 1}
		}
		path = path[:max(strings.LastIndex(path, "."), 0)]
	}
}
