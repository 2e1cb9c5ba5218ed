package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

type consoleCmd struct {
	Name    string       `arg:"" vm:"" help:"A VM."`
	Timeout vms.Duration `default:"60s" help:"Without a terminal: how long to wait for the guest to read pending input."`
}

func (consoleCmd) Help() string {
	return "Connects the terminal to the guest's serial console. Ctrl-] leaves; all other keys are the guest's. " +
		"There is one client at a time: a second one is refused. What the guest writes reaches the terminal as it is. " +
		"Where standard input is no terminal, it is sent to the guest, and the command exits at end of input."
}

func (consoleCmd) Example() string { return "qlaunch console guestvm" }

func (c *consoleCmd) Run(ctx context.Context, s *session) error {
	return of("console", c.Name, c.run(ctx, s))
}

func (c *consoleCmd) run(ctx context.Context, s *session) error {
	console, err := launcher.Console(ctx, s.env, c.Name)
	if err != nil {
		return err
	}
	defer console.Close()
	// A signal that would kill this process must not leave the terminal in raw mode.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()
	if s.inTerminal {
		err = c.onTerminal(ctx, s, console)
	} else {
		err = c.inPipe(ctx, s, console)
	}
	switch {
	case errors.Is(err, errHungUp) && console.Ended(ctx):
		s.notice("%s: QEMU ended", console.VM)
		return nil
	case ctx.Err() != nil:
		return launcher.ErrInterrupted
	}
	return err
}

// errLeft means that the user left the console.
var errLeft = errors.New("left")

// onTerminal puts the terminal into raw mode, so that each key goes to the guest.
func (c *consoleCmd) onTerminal(ctx context.Context, s *session, console *launcher.ConsoleConn) error {
	terminal, ok := s.stdin.(*os.File)
	if !ok {
		return errors.New("standard input is not a file")
	}
	before, err := term.MakeRaw(int(terminal.Fd()))
	if err != nil {
		return fmt.Errorf("terminal: %w", err)
	}
	restore := sync.OnceValue(func() error { return term.Restore(int(terminal.Fd()), before) })
	// At once: a write to a terminal that nobody reads blocks forever.
	defer context.AfterFunc(ctx, func() { _ = restore() })()
	// In raw mode a line feed does not move the cursor to the first column.
	fmt.Fprintf(s.ownStderr, "qlaunch: console of %s; Ctrl-] leaves\r\n", clean(c.Name))
	err = relay(ctx, console, terminal, s.ownStdout, func(in io.Reader) error { return sendKeys(console, in) })
	fmt.Fprint(s.ownStderr, "\r\n")
	if errors.Is(err, errLeft) {
		err = nil
	}
	return errors.Join(err, restore())
}

// sendKeys sends what is typed until Ctrl-], as in telnet and virsh.
func sendKeys(w io.Writer, in io.Reader) error {
	const leave = 0x1d
	keys := make([]byte, 4096)
	for {
		n, err := in.Read(keys)
		typed, _, left := bytes.Cut(keys[:n], []byte{leave})
		if _, err := w.Write(typed); err != nil {
			return err
		}
		if left || errors.Is(err, io.EOF) {
			return errLeft
		}
		if err != nil {
			return err
		}
	}
}

// inPipe sends all input, and prints the output until QEMU has received all of it.
func (c *consoleCmd) inPipe(ctx context.Context, s *session, console *launcher.ConsoleConn) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	late := func() {
		cancel(launcher.TimeoutError(fmt.Sprintf("the guest has not read all of its input after %s", c.Timeout)))
	}
	sent := false
	err := relay(ctx, console, s.stdin, s.stdout, func(in io.Reader) error {
		if _, err := io.Copy(&timedWriter{console, time.Duration(c.Timeout), late}, in); err != nil {
			return err
		}
		sent = true
		time.AfterFunc(time.Duration(c.Timeout), late)
		// If only this direction is closed, QEMU reads to the end and then closes the connection. If both were
		// closed, it would discard what the guest has not read yet (chardev/char-socket.c, tcp_chr_hup).
		return console.CloseWrite()
	})
	if sent && errors.Is(err, errHungUp) {
		return nil
	}
	return err
}

// timedWriter calls a function if one of its writes takes too long.
type timedWriter struct {
	io.Writer
	most time.Duration
	late func()
}

func (w *timedWriter) Write(p []byte) (int, error) {
	defer time.AfterFunc(w.most, w.late).Stop()
	return w.Writer.Write(p)
}
