package netsetup

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// An aclRow is an ACL, other files beside it, and the helper's answer for virbr0: "ok", "denied" or "refused", which
// is no bridge for anybody.
type aclRow struct {
	name, conf string
	files      map[string]string
	want       string
}

func aclRows() []aclRow {
	long := strings.Repeat("x", 15)
	return []aclRow{
		{"one allow", "allow virbr0\n", nil, "ok"},
		{"no line end", "allow virbr0", nil, "ok"},
		{"empty", "", nil, "denied"},
		{"comments and blank lines", "# allow virbr0\n\n \t\n  # x\nallow virbr0\n", nil, "ok"},
		{"CRLF", "allow virbr0\r\n", nil, "ok"},
		{"a blank line with CR", "\r\nallow virbr0\r\n", nil, "ok"},
		{"tab", "allow\tvirbr0\n", nil, "ok"},
		{"many blanks", "allow \t\f virbr0 \t\n", nil, "ok"},
		{"vertical tab before the name", "allow \vvirbr0\n", nil, "denied"},
		{"a line of a vertical tab", "allow virbr0\n\v\n", nil, "refused"},
		{"leading blanks", " \t allow virbr0\n", nil, "ok"},
		{"tab before a space", "allow\tvirbr0 \n", nil, "refused"},
		{"vertical tab for a blank", "allow\vvirbr0\n", nil, "refused"},
		{"another bridge", "allow br0\n", nil, "denied"},
		{"a longer name", "allow virbr01\n", nil, "denied"},
		{"a prefix", "allow virbr\n", nil, "denied"},
		{"case", "allow VIRBR0\n", nil, "denied"},
		{"all", "allow all\n", nil, "ok"},
		{"all is a word", "allow ALL\n", nil, "denied"},
		{"a pattern", "allow virbr*\n", nil, "denied"},
		{"two names", "allow virbr0 br0\n", nil, "denied"},
		{"a short comment behind", "allow virbr0 # c\n", nil, "denied"},
		{"a long comment behind", "allow virbr0 # of libvirt\n", nil, "refused"},
		{"deny after allow", "allow virbr0\ndeny virbr0\n", nil, "denied"},
		{"deny before allow", "deny virbr0\nallow virbr0\n", nil, "denied"},
		{"deny after allow all", "allow all\ndeny virbr0\n", nil, "denied"},
		{"deny all", "deny all\nallow virbr0\n", nil, "denied"},
		{"deny another", "deny br0\nallow virbr0\n", nil, "ok"},
		{"allow alone", "allow virbr0\nallow\n", nil, "refused"},
		{"allow and a space", "allow virbr0\nallow \n", nil, "ok"},
		{"ALLOW", "allow virbr0\nALLOW br0\n", nil, "refused"},
		{"junk before", "junk\nallow virbr0\n", nil, "refused"},
		{"15 bytes", "allow " + long + "\nallow virbr0\n", nil, "ok"},
		{"16 bytes", "allow " + long + "x\nallow virbr0\n", nil, "refused"},
		{"22 bytes denied", "deny " + long + "1234567\nallow virbr0\n", nil, "refused"},
		{"a byte order mark", "\ufeffallow virbr0\n", nil, "refused"},
		{"NUL in the line", "allow virbr0\x00junk\n", nil, "ok"},
		{"NUL first", "\x00junk\nallow virbr0\n", nil, "ok"},
		{"a line of 4095 bytes", "#" + strings.Repeat("x", 4093) + "\nallow virbr0\n", nil, "ok"},
		{"a comment of 5000 bytes is split", "#" + strings.Repeat("x", 4999) + "\nallow virbr0\n", nil, "refused"},
		{"a rule behind 4095 bytes", "#" + strings.Repeat("x", 4094) + "allow virbr0\n", nil, "ok"},
		{"include", "include /etc/qemu/a.conf\n", map[string]string{"/etc/qemu/a.conf": "allow virbr0\n"}, "ok"},
		{"include with a tab", "include\t/etc/qemu/a.conf\n", map[string]string{"/etc/qemu/a.conf": "allow virbr0\n"}, "ok"},
		{"include nests", "include /etc/qemu/a.conf\n", map[string]string{
			"/etc/qemu/a.conf": "include /etc/qemu/b.conf\n", "/etc/qemu/b.conf": "allow virbr0\n"}, "ok"},
		{"deny in an include", "allow all\ninclude /etc/qemu/a.conf\n", map[string]string{"/etc/qemu/a.conf": "deny virbr0\n"}, "denied"},
		{"missing include", "include /etc/qemu/absent\nallow virbr0\n", nil, "ok"},
		{"junk in an include", "allow virbr0\ninclude /etc/qemu/a.conf\n", map[string]string{"/etc/qemu/a.conf": "junk\n"}, "ok"},
		{"rules before junk in an include", "include /etc/qemu/a.conf\n", map[string]string{"/etc/qemu/a.conf": "allow virbr0\njunk\n"}, "ok"},
		{"rules behind junk in an include", "include /etc/qemu/a.conf\n", map[string]string{"/etc/qemu/a.conf": "junk\nallow virbr0\n"}, "denied"},
		{"relative include", "include etc/qemu/a.conf\n", map[string]string{"/etc/qemu/a.conf": "allow virbr0\n"}, "ok"},
		{"relative to the file", "include a.conf\n", map[string]string{"/etc/qemu/a.conf": "allow virbr0\n"}, "denied"},
		{"include of itself", "include /etc/qemu/bridge.conf\nallow virbr0\n", nil, "ok"},
		{"include of a directory", "include /etc/qemu\nallow virbr0\n", nil, "ok"},
		{"include of nothing", "include \nallow virbr0\n", nil, "ok"},
		{"include of a device", "include /dev/null\nallow virbr0\n", nil, "ok"},
	}
}

func TestTheACLIsReadAsTheRealHelperReadsIt(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	addBridge(t, "virbr0", false) // down: the helper does not mind
	for _, row := range aclRows() {
		t.Run(row.name, func(t *testing.T) {
			write(t, DefaultACL, row.conf)
			for path, text := range row.files {
				write(t, path, text)
				defer os.Remove(path)
			}
			if got := ourAnswer(); got != row.want {
				t.Errorf("ours is %s, not %s", got, row.want)
			}
			if got := realAnswer(t); got != row.want {
				t.Errorf("the helper's is %s, not %s", got, row.want)
			}
		})
	}
}

// The rows above are what we thought of. These are not.
func TestARandomACLIsReadAsTheRealHelperReadsIt(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	addBridge(t, "virbr0", true)
	words := strings.Split("allow,allow,deny,include,virbr0,virbr0,virbr0,all,br0,/etc/qemu/a.conf,#,junk, , , , ,\t,\n,\n,\n,\r\n,\v,\x00,xxxxxxxxxxxxxxx", ",")
	random := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		var b strings.Builder
		for range random.IntN(12) {
			b.WriteString(words[random.IntN(len(words))])
			b.WriteString([]string{"", " ", " ", "\n"}[random.IntN(4)])
		}
		return b.String()
	}
	count := map[string]int{}
	for range 400 {
		conf, included := text(), text()
		if random.IntN(2) == 0 {
			conf = "allow virbr0\n" + conf
		}
		write(t, DefaultACL, conf)
		write(t, "/etc/qemu/a.conf", included)
		ours, real := ourAnswer(), realAnswer(t)
		if ours != real {
			t.Errorf("bridge.conf %q, a.conf %q: ours is %s, the helper's %s", conf, included, ours, real)
		}
		count[real]++
	}
	t.Logf("answers: %v", count)
}

func ourAnswer() string {
	v, err := Allowed(DefaultACL, "virbr0")
	switch {
	case err != nil:
		return "refused"
	case v.Allowed:
		return "ok"
	}
	return "denied"
}

func realAnswer(t *testing.T) string {
	t.Helper()
	fds, stderr, err := runHelper(t.Context(), realHelper, "virbr0", nil)
	closeAll(fds)
	switch {
	case err == nil && len(fds) == 1:
		return "ok"
	case strings.HasSuffix(stderr, "access denied by acl file\n"): // behind what it says of an include
		return "denied"
	case strings.Contains(stderr, "failed to parse default acl file `"+DefaultACL+"'\n"):
		return "refused"
	}
	return fmt.Sprintf("%v: %s", err, stderr)
}

func TestAVerdictNamesTheFileAndTheLine(t *testing.T) {
	dir := t.TempDir()
	conf, inc := dir+"/bridge.conf", dir+"/inc.conf"
	tests := []struct {
		name, conf, inc string
		want            string
	}{
		{"allowed", "# ours\n\nallow virbr0\n", "", "ok INC-less CONF:3: allow virbr0"},
		{"allowed by an include", "include INC\n", "\nallow all\n", "ok INC:2: allow all"},
		{"denied", "allow virbr0\ndeny virbr0\n", "", `bridge "virbr0": not allowed: CONF:2: deny virbr0`},
		{"not mentioned", "allow br0\n", "", `bridge "virbr0": not allowed: not mentioned in CONF`},
		{"a bad line", "allow virbr0\nallow\n", "", `bridge "virbr0": ACL file has a bad line: CONF:2: "allow": a rule is a verb and a name`},
		{"a long name", "allow virbr0 # of libvirt\n", "", `bridge "virbr0": ACL file has a bad line: CONF:1: name "virbr0 # of libvirt": longer than 15 bytes`},
		{"a bad line in an include", "include INC\n", "\x1b[31m x\nallow virbr0\n",
			`bridge "virbr0": ACL file has a bad line: INC:1: "\x1b[31m": must be allow, deny or include`},
		{"a long line counts as one", "#" + strings.Repeat(" ", 9000) + "\ndeny virbr0\n", "", `bridge "virbr0": not allowed: CONF:2: deny virbr0`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			names := strings.NewReplacer("CONF", conf, "INC-less ", "", "INC", inc)
			write(t, conf, names.Replace(tt.conf))
			write(t, inc, tt.inc)
			if diff := cmp.Diff(names.Replace(tt.want), verdictText(conf)); diff != "" {
				t.Errorf("verdict, - want, + got:\n%s", diff)
			}
		})
	}
}

func verdictText(conf string) string {
	v, err := Allowed(conf, "virbr0")
	if err == nil {
		err = v.Err()
	}
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("ok %s:%d: %s", v.File, v.Line, v.Rule)
}

func TestAnACLThatIsNoOrdinaryFileIsRefusedAndHoldsNobody(t *testing.T) {
	dir := t.TempDir()
	must(t, unix.Mkfifo(dir+"/fifo", 0o600))
	write(t, dir+"/huge", strings.Repeat("#\n", maxACLSize/2+1))
	tests := []struct{ path, want string }{
		{"absent", `bridge "virbr0": no ACL file: DIR/absent`},
		{"fifo", `bridge "virbr0": ACL file has a bad line: DIR/fifo is not a regular file`},
		{"huge", `bridge "virbr0": ACL file has a bad line: DIR/huge is larger than 1048576 bytes`},
		{"", `bridge "virbr0": not allowed: not mentioned in DIR/`},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(strings.ReplaceAll(tt.want, "DIR", dir), verdictText(dir+"/"+tt.path)); diff != "" {
			t.Errorf("%s, - want, + got:\n%s", tt.path, diff)
		}
	}
}

func TestIncludesAreFollowedToABound(t *testing.T) {
	dir := t.TempDir()
	for i := range maxACLFiles + 10 {
		write(t, fmt.Sprintf("%s/%d", dir, i), fmt.Sprintf("include %s/%d\n", dir, i+1))
	}
	v, err := Allowed(dir+"/0", "virbr0")
	must(t, err)
	want := fmt.Sprintf("%s/%d: more than %d files included", dir, maxACLFiles, maxACLFiles)
	if len(v.Skipped) != 1 || v.Skipped[0].Error() != want {
		t.Errorf("skipped: %v, not %q", v.Skipped, want)
	}
}

func FuzzACL(f *testing.F) {
	for _, row := range aclRows() {
		f.Add([]byte(row.conf))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		rules, bad := parseACL("f", data)
		lines := strings.Count(string(data), "\n") + 1
		for _, r := range rules {
			if r.line < 1 || r.line > lines {
				t.Fatalf("line %d of %d", r.line, lines)
			}
			if r.verb != "include" && len(r.name) > MaxName {
				t.Fatalf("name of %d bytes: %q", len(r.name), r.name)
			}
			if strings.Trim(r.name, blanks) != r.name || strings.ContainsAny(r.name, "\n\x00") {
				t.Fatalf("name %q", r.name)
			}
		}
		// What is denied first stays denied, and a file that ends well reads the same in front of another.
		if v := judge(append([]rule{{verb: "deny", name: "all"}}, rules...), "virbr0"); v.Allowed {
			t.Fatal("allowed in spite of a deny")
		}
		if bad == nil && len(data) > 0 && data[len(data)-1] == '\n' {
			more, err := parseACL("f", append(slices.Clip(data), "allow x\n"...))
			if err != nil || len(more) != len(rules)+1 {
				t.Fatalf("%d rules and one more: %d, %v", len(rules), len(more), err)
			}
		}
		path := filepath.Join(t.TempDir(), "bridge.conf")
		if os.WriteFile(path, data, 0o600) != nil {
			t.Fatal("write")
		}
		if v, err := Allowed(path, "virbr0"); (err == nil) != (bad == nil) || (v.Allowed && v.Line == 0) {
			t.Fatalf("%+v, %v", v, err)
		}
	})
}
