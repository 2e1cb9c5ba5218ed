package vms

import (
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// position is a position in a file; line and column count from 1.
type position struct{ line, column int }

// index has the position of each key of a TOML text. Keys are joined with dots, and list elements count from 0:
// "disk.1.path".
type index struct {
	lines []int // where each line begins
	// at has the first position of each key.
	at map[string]position
	// first has the first position of a repeated key, by the position of the repetition.
	first map[position]position
	// tables counts the tables of each [[list]].
	tables map[string]int
}

// deepest is the maximal number of parts of a known key: nic.0.forward.1. Keys that are nested deeper are unknown by
// their first parts.
const deepest = 4

// indexOf walks the syntax tree of a TOML text. A syntax error ends the walk; the decoder reports it.
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

// pair records a key and everything in its value.
func (x index) pair(node *unstable.Node, table []string) {
	parts, at := x.key(node)
	path := slices.Concat(table, parts)
	for n := len(table) + 1; n < len(path); n++ {
		x.keep(path[:n], at)
	}
	x.put(path, at)
	x.value(node.Value(), path, at)
}

// value records what is in an array or an inline table.
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

// key returns the parts of a node's key, and the position of the first one. It drops parts beyond the deepest, since
// a file can hold a key with half a million parts.
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

// place inserts the index of the newest table after each list in a header's key: [disk.extra] belongs to the last
// [[disk]].
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

// put records a key that may occur once in a file.
func (x index) put(path []string, at position) {
	if len(path) > deepest {
		return
	}
	if before, again := x.at[strings.Join(path, ".")]; again {
		x.first[at] = before
	}
	x.keep(path, at)
}

// keep records the position of a key, unless the key has one.
func (x index) keep(path []string, at position) {
	if len(path) > deepest {
		return
	}
	name := strings.Join(path, ".")
	if _, known := x.at[name]; !known {
		x.at[name] = at
	}
}

// position returns the position of a byte.
func (x index) position(offset int) position {
	n, exact := slices.BinarySearch(x.lines, offset)
	if !exact {
		n--
	}
	return position{line: n + 1, column: offset - x.lines[n] + 1}
}

// find returns the position of a key, else of the nearest table around it, else of the first byte of the file.
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
