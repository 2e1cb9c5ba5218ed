package main

import (
	"bufio"
	"errors"
	"io"
	"text/tabwriter"
)

// table is lines of words with a tab between them, printed in columns by Flush. On its way
// each would be a write for every word.
type table struct {
	*tabwriter.Writer
	lines *bufio.Writer
}

func newTable(w io.Writer) table {
	lines := bufio.NewWriter(w)
	return table{tabwriter.NewWriter(lines, 0, 8, 2, ' ', 0), lines}
}

// Flush prints the table.
func (t table) Flush() error { return errors.Join(t.Writer.Flush(), t.lines.Flush()) }
