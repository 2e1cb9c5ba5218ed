package vms

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
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
	group := sharedGroup(t, dir, path)
	for _, test := range []struct {
		file, dir fs.FileMode
		want      string
	}{
		{0o600, 0o700, ""},
		{0o644, 0o777 | fs.ModeSticky, ""},
		{0o666, 0o755, path + ": mode 0666: others can write it, and so choose which of your files the VM reads"},
		{0o644, 0o777, dir + ": mode 0777: others can replace the definitions in it"},
		{0o664, 0o755, path + ": mode 0664: " + group + " can write it, and so choose which of your files the VM reads"},
		{0o620, 0o755, path + ": mode 0620: " + group + " can write it, and so choose which of your files the VM reads"},
		{0o644, 0o775, dir + ": mode 0775: " + group + " can replace the definitions in it"},
		{0o644, 0o775 | fs.ModeSticky, ""},
	} {
		if group == "" && strings.Contains(test.want, ":  can ") {
			continue
		}
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

// sharedGroup gives files to a group that is not the user's own, and says what that is called: nothing where an ordinary
// user is in no such group.
func sharedGroup(t *testing.T, files ...string) string {
	t.Helper()
	groups := []int{1} // root may give them to any: this one is daemon on every host
	if os.Geteuid() != 0 {
		var err error
		if groups, err = os.Getgroups(); err != nil {
			t.Fatal(err)
		}
	}
	for _, gid := range groups {
		g, err := user.LookupGroupId(strconv.Itoa(gid))
		if err != nil || privateGroup(accounts("/etc/passwd"), accounts("/etc/group"), uint32(os.Geteuid()), uint32(gid)) {
			continue
		}
		for _, file := range files {
			if err := os.Chown(file, -1, gid); err != nil {
				t.Fatal(err)
			}
		}
		return "group " + g.Name
	}
	return "" // TestAGroupThatIsSharedIsNamed goes on without
}

func TestAGroupThatIsSharedIsNamed(t *testing.T) {
	const nobodys = 471100
	path, me := "/vms/web.toml", uint32(os.Geteuid())
	want := path + ": mode 0620: group 471100 can write it, and so choose which of your files the VM reads"
	if err := checkFile(path, owned{uid: me, gid: nobodys, mode: 0o620}); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if err := checkFile(path, owned{uid: me, gid: nobodys, mode: 0o640}); err != nil {
		t.Error(err)
	}
}

// owned is what stat says of somebody's file.
type owned struct {
	uid, gid uint32
	mode     fs.FileMode
}

func (owned) Name() string        { return "web.toml" }
func (owned) Size() int64         { return 1 }
func (o owned) Mode() fs.FileMode { return o.mode }
func (owned) ModTime() time.Time  { return time.Time{} }
func (owned) IsDir() bool         { return false }
func (o owned) Sys() any          { return &syscall.Stat_t{Uid: o.uid, Gid: o.gid} }

func TestADefinitionOfAnotherUserIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "web.toml")
	other := uint32(os.Geteuid()) + 1
	want := path + ": belongs to user "
	if err := checkFile(path, owned{uid: other}); err == nil || !strings.HasPrefix(err.Error(), want) || !strings.HasSuffix(err.Error(), ": must be your own or root's") {
		t.Errorf("got %v", err)
	}
	for _, uid := range []uint32{0, uint32(os.Geteuid())} {
		if err := checkFile(path, owned{uid: uid}); err != nil {
			t.Error(err)
		}
	}
}

func TestADefinitionIsAsSafeAsTheWayToIt(t *testing.T) {
	base := t.TempDir()
	home := filepath.Join(base, "home")
	dir := filepath.Join(home, ".config/qlaunch/vms")
	path := filepath.Join(dir, "web.toml")
	put(t, path, "")
	downloads := filepath.Join(base, "downloads")
	put(t, filepath.Join(downloads, "vms", "web.toml"), "")
	mode := func(path string, mode fs.FileMode) {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, path string) {
		if err := os.Symlink(target, path); err != nil {
			t.Fatal(err)
		}
	}
	link("../downloads", filepath.Join(home, "relative"))
	link(downloads, filepath.Join(home, "absolute"))
	link("web.toml", filepath.Join(dir, "same.toml"))
	link(filepath.Join(home, "relative/vms/web.toml"), filepath.Join(dir, "far.toml"))

	for _, p := range []string{path, home + "/relative/vms/web.toml", home + "/absolute/vms/../vms/web.toml", dir + "/same.toml", dir + "/far.toml"} {
		if _, err := ReadFile(p); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}

	mode(home, 0o777)
	want := home + ": mode 0777: others can replace the definitions below it"
	for _, p := range []string{path, home + "/absolute/vms/web.toml", dir + "/far.toml"} {
		if _, err := ReadFile(p); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", p, err, want)
		}
	}
	mode(home, 0o755)

	mode(downloads, 0o777)
	want = downloads + ": mode 0777: others can replace the definitions below it"
	for _, p := range []string{home + "/relative/vms/web.toml", home + "/absolute/vms/web.toml", dir + "/far.toml"} {
		_, err := ReadFile(p)
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", p, err, want)
		}
		if w, ok := errors.AsType[*WritableError](err); !ok || w.Path != downloads || !w.Chmod || !w.Own {
			t.Errorf("%s: %+v", p, w)
		}
	}
	if _, err := ReadFile(path); err != nil {
		t.Error(err)
	}
}

func TestOnlyTheUsersOwnGroupMayWrite(t *testing.T) {
	const passwd = "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:100::/home/bob:/bin/sh\n" +
		"carol:x:1002:1002::/home/carol:/bin/sh\ndave:x:1003:1002::/home/dave:/bin/sh\nerin:x:1004:1004::/:/bin/sh\nfrank:x:1005:1005::/:/bin/sh\n"
	const group = "root:x:0:\nalice:x:1000:alice\nusers:x:100:\ncarol:x:1002:\nerin:x:1004:frank\nothers:x:1005:\njunk\n"
	p, g := parseAccounts([]byte(passwd)), parseAccounts([]byte(group))
	for _, test := range []struct {
		who      string
		uid, gid uint32
		private  bool
	}{
		{"root's own", 0, 0, true},
		{"alice's own, which lists her", 1000, 1000, true},
		{"alice's, for a file of bob's", 1001, 1000, false},
		{"users, bob's primary group, has another name", 1001, 100, false},
		{"carol's is dave's primary group too", 1002, 1002, false},
		{"erin's has frank in it", 1004, 1004, false},
		{"frank's has another name", 1005, 1005, false},
		{"nobody's", 1000, 4711, false},
	} {
		if got := privateGroup(p, g, test.uid, test.gid); got != test.private {
			t.Errorf("%s: %v", test.who, got)
		}
	}
	if privateGroup(nil, nil, 0, 0) {
		t.Error("without the files nothing is known")
	}
}

func TestADirectoryOfAnotherUserIsRefused(t *testing.T) {
	other := uint32(os.Geteuid()) + 1
	if err := checkOwner("/home/x", owned{uid: other}); err == nil || err.Error() != fmt.Sprintf("/home/x: belongs to user %d, who can replace the definitions below it", other) {
		t.Errorf("got %v", err)
	}
	for _, uid := range []uint32{0, uint32(os.Geteuid()), unmapped} {
		if err := checkOwner("/home/x", owned{uid: uid}); err != nil {
			t.Error(err)
		}
	}
}
