package main

import (
	"bufio"
	"errors"
	"io"
	"text/tabwriter"
)

// table has lines of words with tabs between them, which Flush prints in columns. It buffers them, since tabwriter
// writes each word separately.
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
