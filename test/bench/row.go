package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// row is a line of the table.
type row struct {
	What, Goal, Measured, Verdict string
}

// verdict holds a number against the most that it may be.
func verdict(met bool) string {
	if met {
		return "met"
	}
	return "not met"
}

// printTable writes the rows as a table that reads well on a terminal and is one in Markdown.
func printTable(w io.Writer, rows []row) error {
	t := tabwriter.NewWriter(w, 0, 8, 1, ' ', 0)
	fmt.Fprintln(t, "| what\t| goal\t| measured\t| verdict\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|")
	for _, r := range rows {
		fmt.Fprintf(t, "| %s\t|\n", strings.Join([]string{r.What, r.Goal, r.Measured, r.Verdict}, "\t| "))
	}
	return t.Flush()
}

// median of some numbers; they are put in order.
func median[T time.Duration | float64](list []T) T {
	slices.Sort(list)
	return list[len(list)/2]
}

// ms is a time as it stands in the table.
func ms(d time.Duration) string {
	if d < 0 {
		return fmt.Sprintf("−%.1f ms", -d.Seconds()*1000)
	}
	return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
}

// pairing is what interleaved pairs of two ways to do one thing have shown.
type pairing struct {
	ours, theirs time.Duration // medians
	ratio        float64       // the median of the pairs' ratios, ours over theirs
	low, high    float64       // the pairs' ratios: their quartiles
}

// pair measures two ways by turns, after one of each that does not count. Which of the two comes first changes from pair to pair.
func (b *bench) pair(ours, theirs func() (time.Duration, error)) (pairing, error) {
	var took [2][]time.Duration
	var ratios []float64
	for i := -1; i < b.pairs; i++ {
		var now [2]time.Duration
		for _, which := range [][]int{{0, 1}, {1, 0}}[(i+2)%2] {
			var err error
			if now[which], err = []func() (time.Duration, error){ours, theirs}[which](); err != nil {
				return pairing{}, err
			}
		}
		if i < 0 {
			continue
		}
		b.say("%s against %s", ms(now[0]), ms(now[1]))
		for which := range now {
			took[which] = append(took[which], now[which])
		}
		ratios = append(ratios, float64(now[0])/float64(now[1]))
	}
	p := pairing{ours: median(took[0]), theirs: median(took[1]), ratio: median(ratios)}
	p.low, p.high = ratios[len(ratios)/4], ratios[len(ratios)*3/4]
	return p, nil
}

// atMost is a row with a ratio that has a bound.
func (p pairing) atMost(what string, most float64) row {
	return row{what, fmt.Sprintf("≤ %.2f", most), fmt.Sprintf("%.2f (quartiles %.2f–%.2f; %s against %s)", p.ratio, p.low, p.high, ms(p.ours), ms(p.theirs)), verdict(p.ratio <= most)}
}

// faster is a row that says how many times ours is faster.
func (p pairing) faster(what string, least float64) row {
	r := row{What: what, Goal: "–", Measured: fmt.Sprintf("%.1f times (%s against %s)", 1/p.ratio, ms(p.ours), ms(p.theirs)), Verdict: "–"}
	if least > 0 {
		r.Goal, r.Verdict = fmt.Sprintf("≥ %.0f times faster", least), verdict(1/p.ratio >= least)
	}
	return r
}

// within is a row with the median of times, which has a bound.
func within(what string, most time.Duration, took []time.Duration) row {
	got := median(took)
	return row{what, "≤ " + ms(most), fmt.Sprintf("%s (quartiles %s–%s)", ms(got), ms(took[len(took)/4]), ms(took[len(took)*3/4])), verdict(got <= most)}
}
