package qemu

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// onDisk is what a file takes.
func onDisk(t *testing.T, path string) int64 {
	t.Helper()
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		t.Fatal(err)
	}
	return stat.Blocks * 512
}

func TestALogThatGrewTooLargeIsCutWhileItsWriterLosesNothing(t *testing.T) {
	for _, dir := range []string{t.TempDir(), shm(t)} { // ext4 or so, and tmpfs
		path := filepath.Join(dir, "console.log")
		log, err := openLog(path)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		const lines, length = 3 * logMost / 16, 16
		for n := range lines {
			if n%(1<<16) == 0 {
				if err := trimLog(path); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := fmt.Fprintf(log, "%015d\n", n); err != nil {
				t.Fatal(err)
			}
		}
		if err := trimLog(path); err != nil {
			t.Fatal(err)
		}
		if size := onDisk(t, path); size > logMost+logBlock {
			t.Errorf("%s: takes %d bytes, want at most %d", dir, size, logMost)
		}
		first, last := numbers(t, path)
		if last != lines-1 || lines-first < logKept/length {
			t.Errorf("%s: holds the lines %d to %d of %d", dir, first, last, lines)
		}
	}
}

// shm is a directory in memory.
func shm(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "qlaunch") //nolint:usetesting // t.TempDir is on the disk
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// numbers are the first and the last line of what there is of a log, in which none is missing or torn.
func numbers(t *testing.T, path string) (first, last int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	gone, err := SkipCut(f)
	if err != nil || gone == 0 {
		t.Fatalf("cut: %d bytes, %v", gone, err)
	}
	first, last = int(gone/16), int(gone/16)-1
	for scan := bufio.NewScanner(f); scan.Scan(); {
		last++
		if want := fmt.Sprintf("%015d", last); scan.Text() != want {
			t.Fatalf("a line is %q, want %q", scan.Text(), want)
		}
	}
	return first, last
}

func TestALogOfOrdinarySizeIsLeftAsItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "console.log")
	text := strings.Repeat("x", logMost)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := trimLog(path); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if gone, err := SkipCut(f); gone != 0 || err != nil {
		t.Errorf("cut: %d bytes, %v", gone, err)
	}
	if got, err := io.ReadAll(f); string(got) != text || err != nil {
		t.Errorf("%d bytes are left of %d, %v", len(got), len(text), err)
	}
}

// Nothing that lies in a log's place is opened for longer than a look, or written to.
func TestWhatIsNoLogIsNotCut(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, make([]byte, 2*logMost), 0o600); err != nil {
		t.Fatal(err)
	}
	link, pipe := filepath.Join(dir, "link"), filepath.Join(dir, "pipe")
	if err := os.Symlink(other, link); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := trimLog(link); err == nil {
		t.Error("a link: no error")
	}
	for _, path := range []string{pipe, filepath.Join(dir, "absent")} {
		if err := trimLog(path); err != nil {
			t.Error(err)
		}
	}
	if size := onDisk(t, other); size < 2*logMost {
		t.Errorf("what the link names takes %d bytes, was %d", size, 2*logMost)
	}
}
