package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// terminal is a program: terminal [-fds 012] [-after PATTERN -type TEXT]… [-size 80x24] FILE PROGRAM ARG…
// runs another program with a terminal as its controlling one and as the named
// descriptors. Once the terminal has shown a pattern, its text is typed, and then
// the next pattern is looked for in what is shown from there on. All that was shown is written to FILE as it came, and the exit code is the program's.
func terminal() {
	flags := flag.NewFlagSet("terminal", flag.ExitOnError)
	fds := flags.String("fds", "012", "")
	var script []typing
	flags.Func("after", "", func(pattern string) error {
		script = append(script, typing{after: regexp.MustCompile(pattern)})
		return nil
	})
	flags.Func("type", "", func(text string) (err error) {
		script[len(script)-1].text, err = strconv.Unquote(`"` + text + `"`)
		return err
	})
	size := flags.String("size", "80x24", "")
	_ = flags.Parse(os.Args[1:])
	program := flags.Args()[1:]

	control, tty, err := openPTY(*size)
	fail(err)
	cmd := exec.Command(program[0], program[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if strings.Contains(*fds, "0") {
		cmd.Stdin = tty
	}
	if strings.Contains(*fds, "1") {
		cmd.Stdout = tty
	}
	if strings.Contains(*fds, "2") {
		cmd.Stderr = tty
	}
	cmd.ExtraFiles = []*os.File{tty}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	fail(cmd.Start())
	fail(tty.Close())

	shown := converse(control, script...)
	_ = cmd.Wait()
	fail(os.WriteFile(flags.Arg(0), shown, 0o600))
	os.Exit(cmd.ProcessState.ExitCode())
}

// typing is a text that is typed once a terminal has shown a pattern.
type typing struct {
	after *regexp.Regexp
	text  string
}

// converse reads until nobody has the terminal open any more, which is when
// reading it fails with EIO, and types what the script says.
func converse(control *os.File, script ...typing) []byte {
	var shown []byte
	seen := 0
	piece := make([]byte, 4096)
	for {
		n, err := control.Read(piece)
		shown = append(shown, piece[:n]...)
		if len(script) > 0 && script[0].after.Match(shown[seen:]) {
			_, err := control.WriteString(script[0].text)
			fail(err)
			script, seen = script[1:], len(shown)
		}
		if err != nil {
			if !errors.Is(err, syscall.EIO) {
				fail(err)
			}
			return shown
		}
	}
}

// openPTY opens both ends of a new terminal (pty(7)).
func openPTY(size string) (control, tty *os.File, err error) {
	control, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	fd := int(control.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	var w unix.Winsize
	if _, err := fmt.Sscanf(size, "%dx%d", &w.Col, &w.Row); err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &w); err != nil {
		return nil, nil, err
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	return control, tty, err
}

// screen is a program: screen FILE prints what stands on a terminal that was
// shown the file. It knows what progress lines are made with, and shows any other control as it is.
func screen() {
	shown, err := os.ReadFile(os.Args[1])
	fail(err)
	if text := strings.TrimRight(render(string(shown)), " \n"); text != "" {
		fmt.Println(text)
	}
}

var (
	cursorUp  = regexp.MustCompile(`^\x1b\[(\d*)A`)
	eraseDown = regexp.MustCompile(`^\x1b\[0?J`)
)

// fit is a script's command. What it finds unfit is listed here by itself, not asked of clean.
func fit(ts *testscript.TestScript, _ bool, args []string) {
	bad := regexp.MustCompile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|[\u0080-\u009f]|\u00ad|\u061c|[\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|\r[^\n\x1b]")
	lines := regexp.MustCompile(`\x1b\[\d*[AJ]`)
	for _, file := range args {
		text := lines.ReplaceAllString(ts.ReadFile(file), "")
		if at := bad.FindStringIndex(text); at != nil || !utf8.ValidString(text) {
			ts.Fatalf("%s: not fit for a terminal at %v: %q", file, at, text)
		}
	}
}

func render(shown string) string {
	lines, row, column := []string{""}, 0, 0
	for shown != "" {
		switch m := cursorUp.FindStringSubmatch(shown); {
		case m != nil:
			up, _ := strconv.Atoi(m[1])
			row, shown = max(0, row-max(1, up)), shown[len(m[0]):]
			continue
		case eraseDown.MatchString(shown):
			lines = lines[:row+1]
			lines[row] = lines[row][:min(column, len(lines[row]))]
			shown = shown[len(eraseDown.FindString(shown)):]
			continue
		}
		c := shown[0]
		shown = shown[1:]
		switch c {
		case '\r':
			column = 0
		case '\n':
			if row++; row == len(lines) {
				lines = append(lines, "")
			}
		default:
			line := lines[row] + strings.Repeat(" ", max(0, column-len(lines[row])))
			lines[row] = line[:column] + string([]byte{c}) + line[min(len(line), column+1):]
			column++
		}
	}
	return strings.Join(lines, "\n")
}
