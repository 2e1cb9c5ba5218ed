package netsetup

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// The real dnsmasq is asked about each file of a directory, with a line in it that it refuses: it complains of those that it reads.
func TestTheFilesOfADirectoryAreThoseThatDnsmasqReads(t *testing.T) {
	dnsmasq, err := CheckQuery{Root: "/"}.program("dnsmasq")
	must(t, err)
	dir := t.TempDir()
	names := []string{"a.conf", "c", "c.bak", "d.x.conf", "e~", "#f#", "#g", ".h.conf", "conf", "i.CONF", "j.conf.bak", "k.dpkg-old", "k.dpkg-dist", "bak", "l.conf"}
	write := func(name, line string) { must(t, os.WriteFile(filepath.Join(dir, name), []byte(line+"\n"), 0o644)) }
	for _, name := range names {
		write(name, "")
	}
	must(t, os.Rename(filepath.Join(dir, "l.conf"), filepath.Join(dir, ".target")))
	must(t, os.Symlink(".target", filepath.Join(dir, "l.conf")))
	must(t, os.Mkdir(filepath.Join(dir, "m.conf"), 0o755))
	must(t, unix.Mkfifo(filepath.Join(dir, "n.conf"), 0o644))
	for _, suffixes := range []string{"", ",", ",*.conf", ",.bak", ",bak", ",*.conf,.x.conf", ",.x.conf,*.conf,*.bak", ",*", ",*,.conf", ", *.conf",
		",*.co*", ",.dpkg-dist,.dpkg-old,.dpkg-new", ",*.conf,*.conf.bak"} {
		option := "conf-dir=" + dir + suffixes
		for _, name := range names {
			write(name, "no-option-of-this-name")
		}
		var want, got []string
		for name := refused(t, dnsmasq, option); name != ""; name = refused(t, dnsmasq, option) {
			want = append(want, name)
			write(name, "")
		}
		for i, name := range names {
			write(name, "interface="+strconv.Itoa(i))
		}
		o := dnsmasqOptions{root: "/"}
		o.readLines(option+"\n", 0)
		for i, name := range names {
			if slices.Contains(o.interfaces, strconv.Itoa(i)) {
				got = append(got, name)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-dnsmasq +here):\n%s", option, diff)
		}
		if o.unread {
			t.Errorf("%s: what dnsmasq reads cannot be read", option)
		}
	}
}

// refused is the name of the file of which dnsmasq complains first.
func refused(t *testing.T, dnsmasq, option string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), dnsmasq, "--test", "--conf-file=/dev/null", "--"+option).CombinedOutput()
	if err == nil {
		return ""
	}
	_, file, ok := strings.Cut(strings.TrimSpace(string(out)), "bad option at line 1 of ")
	if !ok {
		t.Fatalf("%s: %v: %s", option, err, out)
	}
	return filepath.Base(file)
}
