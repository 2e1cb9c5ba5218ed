package main

import (
	"os"
	"strings"
)

// A reason is a row of the table of survivors.
type reason struct {
	row, target, function, source, change string
	seen                                  bool // it has survived in this run
}

// readKnown reads a Markdown file's table with the columns target, function, source, change, reason. The file may be missing.
func readKnown(path string) ([]*reason, error) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	var list []*reason
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.ReplaceAll(strings.TrimSpace(line), `\|`, "\x00"), "|")
		if len(cells) != 7 || strings.Contains(cells[1], "---") || strings.TrimSpace(cells[1]) == "target" {
			continue
		}
		for i := range cells {
			cells[i] = strings.ReplaceAll(strings.Trim(strings.TrimSpace(cells[i]), "`"), "\x00", "|")
		}
		list = append(list, &reason{strings.TrimSpace(line), cells[1], cells[2], cells[3], cells[4], false})
	}
	return list, err
}

// explained says whether a survivor is in the table.
func explained(reasons []*reason, target string, m mutant) bool {
	for _, r := range reasons {
		if r.target == target && r.function == m.function && r.source == m.source && r.change == m.change {
			r.seen = true
			return true
		}
	}
	return false
}
