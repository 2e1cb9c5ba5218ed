package launcher

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnIncludeThatIsTakenBackLeavesEveryByte(t *testing.T) {
	const line = "Include ~/.local/share/qlaunch/vms/*/ssh_config"
	for _, text := range []string{"", "\n", "Host a\n  User b", "# mine\r\nHost a\r\n", "\n\nHost *\n", "Include other\n", line + "x\n"} {
		with, first := addInclude([]byte(text), line, true)
		if !first || !strings.HasPrefix(string(with), line+"\n") {
			t.Errorf("%q became %q, %v", text, with, first)
		}
		if again, _ := addInclude(with, line, true); !bytes.Equal(again, with) {
			t.Errorf("a second time: %q", again)
		}
		if back := removeInclude(with, line); back == nil || string(back) != text {
			t.Errorf("%q came back as %q", text, back)
		}
	}
	with, _ := addInclude(nil, line, false)
	if back := removeInclude(with, line); back != nil {
		t.Errorf("no file came back as %q", back)
	}
	later := "User b\n" + line + "\nHost a\n"
	if now, first := addInclude([]byte(later), line, true); first || string(now) != later {
		t.Errorf("%q, %v", now, first)
	}
	moved := "Host a\n" + line + "\n  User b\n" // it counts for nobody but a
	if now, first := addInclude([]byte(moved), line, true); !first || string(now) != line+"\n\nHost a\n  User b\n" {
		t.Errorf("%q, %v", now, first)
	}
	if back := removeInclude([]byte(moved), line); string(back) != "Host a\n  User b\n" {
		t.Errorf("%q", back)
	}
}

func TestAFileIsReplacedWithAllThatItWas(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "dotfiles"), filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte("Host a\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("dotfiles", link); err != nil {
		t.Fatal(err)
	}
	include := sshInclude{file: link, pattern: "~/x/*/ssh_config"}
	install := func(text []byte, isThere bool) ([]byte, error) {
		now, _ := addInclude(text, include.line(), isThere)
		return now, nil
	}
	for range 2 {
		if err := editSSHConfig(include, install); err != nil {
			t.Fatal(err)
		}
		text, _ := os.ReadFile(file)
		info, _ := os.Lstat(file)
		if string(text) != "Include ~/x/*/ssh_config\n\nHost a\n" || info.Mode() != 0o640 {
			t.Errorf("%q, %v", text, info.Mode())
		}
	}
	if to, err := os.Readlink(link); err != nil || to != "dotfiles" {
		t.Errorf("the link is %q, %v", to, err)
	}
	if err := os.Link(file, file+"2"); err != nil {
		t.Fatal(err)
	}
	err := editSSHConfig(include, func(text []byte, _ bool) ([]byte, error) { return removeInclude(text, include.line()), nil })
	if err == nil || !strings.Contains(err.Error(), "another hard link") {
		t.Errorf("with another hard link: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".config*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestAFileThatChangesMeanwhileStays(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("Host a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := editSSHConfig(sshInclude{file: file}, func(text []byte, _ bool) ([]byte, error) {
		return append(text, "# ours\n"...), os.WriteFile(file, []byte("Host b\n"), 0o600)
	})
	if err == nil || !strings.Contains(err.Error(), "changed by somebody else") {
		t.Errorf("%v", err)
	}
	if text, _ := os.ReadFile(file); string(text) != "Host b\n" {
		t.Errorf("%q", text)
	}
}

func TestAnEntryOfTheUsersOwnIsFound(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("more.conf", "Host included\nInclude sub/deep\n")
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("sub/deep", "Include sub/deeper\n")
	write("sub/deeper", "Host nested\n")
	write("loop.conf", "Include loop.conf\n")
	write("ours", "Host ours\n")
	write("config", "Include ours\nInclude *.conf\n# Host no\nHost=one \"two three\" 'four'\n\thost five* !five-b\nHost * *.* ?*\nHost !six *\n"+
		"Match originalhost seven,eight exec \"Host nine\"\nMatch host=ten\nMatch exec \"true host x\"\nUser host\nHost un[1]\nMatch Host ELEVEN\nHost TWELVE\n")
	config := sshConfig{home: "/nowhere", ours: "ours"}
	for name, want := range map[string]bool{
		"one": true, "two three": true, "four": true, "five-a": true, "five-b": false, "six": false, "seven": true, "eight": true,
		"nine": false, "ten": true, "included": true, "ours": false, "web": false, "no": false, "un1": false,
		"nested": true, "eleven": true, "twelve": false, "TWELVE": true,
	} {
		if got := config.hasEntry(filepath.Join(dir, "config"), name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
