package vms

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestOnlyARegularFileOfAModestSizeIsRead(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	put(t, at("most"), strings.Repeat("#", 1<<20))
	put(t, at("more"), strings.Repeat("#", 1<<20+1))
	if err := syscall.Mkfifo(at("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mknod(at("socket"), syscall.S_IFSOCK|0o600, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", at("link")); err != nil {
		t.Fatal(err)
	}
	if data, err := ReadFile(at("most")); err != nil || len(data) != 1<<20 {
		t.Errorf("got %d bytes, %v", len(data), err)
	}
	for path, want := range map[string]string{
		at("more"):   "larger than 1 MiB",
		at("fifo"):   "not a regular file",
		at("socket"): "not a regular file",
		at("link"):   "not a regular file",
		dir:          "not a regular file",
		"/dev/zero":  "not a regular file",
		"/dev/null":  "not a regular file",
	} {
		if _, err := ReadFile(path); err == nil || err.Error() != path+": "+want {
			t.Errorf("got %v; want %s", err, want)
		}
	}
}

func TestADefinitionThatOthersCanWriteIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vms")
	path := filepath.Join(dir, "web.toml")
	put(t, path, "")
	for _, test := range []struct {
		file, dir fs.FileMode
		want      string
	}{
		{0o600, 0o700, ""},
		{0o664, 0o775, ""},
		{0o644, 0o777 | fs.ModeSticky, ""},
		{0o666, 0o755, path + ": mode 0666: others can write it, and so choose which of your files the VM reads"},
		{0o644, 0o777, dir + ": mode 0777: others can replace the definitions in it"},
	} {
		if err := os.Chmod(path, test.file); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, test.dir); err != nil {
			t.Fatal(err)
		}
		_, err := ReadFile(path)
		if test.want == "" && err == nil {
			continue
		}
		if err == nil || err.Error() != test.want {
			t.Errorf("%v in %v: got %v", test.file, test.dir, err)
		}
	}
}

// owned is what stat says of somebody's file.
type owned struct{ uid uint32 }

func (owned) Name() string       { return "web.toml" }
func (owned) Size() int64        { return 1 }
func (owned) Mode() fs.FileMode  { return 0o600 }
func (owned) ModTime() time.Time { return time.Time{} }
func (owned) IsDir() bool        { return false }
func (o owned) Sys() any         { return &syscall.Stat_t{Uid: o.uid} }

func TestADefinitionOfAnotherUserIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.toml")
	other := uint32(os.Geteuid()) + 1
	want := path + ": belongs to user "
	if err := checkFile(path, owned{other}); err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), ": must be your own or root's") {
		t.Errorf("got %v", err)
	}
	for _, uid := range []uint32{0, uint32(os.Geteuid())} {
		if err := checkFile(path, owned{uid}); err != nil {
			t.Error(err)
		}
	}
}
