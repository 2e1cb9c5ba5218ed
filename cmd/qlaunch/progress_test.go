package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestWhatIsSaidDuringProgressStaysOnTheTerminal(t *testing.T) {
	control, tty, err := openPTY("80x24")
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	s := &session{ownStderr: tty, errTerminal: true}
	s.guard()
	before := s.stderr
	lines := newProgress(s, []string{"web", "db"})
	lines.stage(0)("starts QEMU")
	lines.stage(1)("QEMU runs")

	shown := readUntil(t, control.Read, `db: QEMU runs`)
	s.notice("web: runs under tcg, which is slow")
	lines.stage(0)("lease 192.0.2.1")
	shown += readUntil(t, control.Read, `web: lease 192\.0\.2\.1`)
	s.notice("db: said as well")
	lines.done(false)
	s.notice("and afterwards")
	tty.Close()
	shown += string(converse(control))

	want := "qlaunch: web: runs under tcg, which is slow\nqlaunch: db: said as well\nqlaunch: and afterwards"
	if got := strings.TrimRight(render(shown), " \n"); got != want {
		t.Errorf("the terminal shows\n%s\nwant\n%s\nof %q", got, want, shown)
	}
	if s.stderr != before {
		t.Error("the session does not have its stderr back")
	}
}

func TestProgressFitsTheTerminal(t *testing.T) {
	control, tty, err := openPTY("20x3")
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	s := &session{ownStderr: tty, errTerminal: true}
	s.guard()
	lines := newProgress(s, []string{"web", "db", "mail"})
	for i := range 3 {
		lines.stage(i)("waits for something that has a long name")
	}
	s.notice("said")
	lines.done(false)
	tty.Close()
	shown := string(converse(control))
	if got := strings.TrimRight(render(shown), " \n"); got != "qlaunch: said" {
		t.Errorf("the terminal shows\n%s\nof %q", got, shown)
	}
	if strings.Contains(shown, "mail") || strings.Contains(shown, "something") {
		t.Errorf("more than fits: %q", shown)
	}
}

func TestWithoutATerminalThereIsNoProgress(t *testing.T) {
	var said strings.Builder
	s := &session{ownStderr: &said}
	s.guard()
	lines := newProgress(s, []string{"web"})
	lines.stage(0)("starts QEMU")
	lines.done(false)
	if said.String() != "" {
		t.Errorf("said %q", said.String())
	}
}

// readUntil reads a terminal until it has shown a pattern.
func readUntil(t *testing.T, read func([]byte) (int, error), pattern string) string {
	t.Helper()
	var shown strings.Builder
	piece := make([]byte, 4096)
	for !regexp.MustCompile(pattern).MatchString(shown.String()) {
		n, err := read(piece)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(piece[:n])
	}
	return shown.String()
}
