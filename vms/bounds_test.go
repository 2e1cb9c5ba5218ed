package vms

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// The last value that is taken, and the first that is not.
func TestTheBoundsOfADefinition(t *testing.T) {
	forwards := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf("%q", fmt.Sprintf("%d:22", 1000+i)))
		}
		return "[[nic]]\ntype = \"user\"\nforward = [" + strings.Join(list, ", ") + "]\n"
	}
	path := func(n int) string { return "[[disk]]\npath = \"/" + strings.Repeat("a", n-1) + "\"\n" }
	for _, c := range []struct{ what, good, bad, words string }{
		{"the least memory", `memory = "1MiB"`, `memory = "1023KiB"`, "must be from 1MiB to 4PiB"},
		{"the most memory", `memory = "4PiB"`, `memory = "4194305GiB"`, "must be from 1MiB to 4PiB"},
		{"the fewest processors", "cpus = 1", "cpus = 0", "must be at least 1"},
		{"the most processors", "cpus = 4096", "cpus = 4097", "must be at most 4096"},
		{"the lowest port", "ssh.port = 1", "ssh.port = 0", "must be at least 1"},
		{"the highest port", "ssh.port = 65535", "ssh.port = 65536", "must be at most 65535"},
		{"the largest disk", "[[disk]]\nsize = \"2PiB\"", "[[disk]]\nsize = \"2097153GiB\"", ""},
		{"the most disks", strings.Repeat("[[disk]]\n", 16), strings.Repeat("[[disk]]\n", 17), "there can be at most 16"},
		{"the most NICs", strings.Repeat("[[nic]]\n", 8), strings.Repeat("[[nic]]\n", 9), "there can be at most 8"},
		{"the most forwards", forwards(256), forwards(257), "there can be at most 256"},
		{"the longest path", path(4095), path(4096), "must be at most 4095 bytes"},
		{"the longest name of a bridge", "[[nic]]\nbridge = \"abcdefghijklmno\"", "[[nic]]\nbridge = \"abcdefghijklmnop\"", "at most 15 bytes"},
		{"the last NIC for ssh", "ssh.nic = 7\n" + strings.Repeat("[[nic]]\n", 8), "ssh.nic = 8\n" + strings.Repeat("[[nic]]\n", 8), "at most 7"},
	} {
		if _, err := Parse([]byte(c.good), hostEnv()); err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if _, err := Parse([]byte(c.bad), hostEnv()); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("beyond %s: %v", c.what, err)
		}
	}
}

// Keys and tables are counted together. What is refused is refused before it is read, which would take long.
func TestTheMostKeysOfADefinition(t *testing.T) {
	half := strings.Repeat("k=1\n", 5000)
	if tooMany([]byte(half + strings.Repeat("[t]\n", 5000))) {
		t.Error("ten thousand are too many")
	}
	if !tooMany([]byte(half + strings.Repeat("[t]\n", 5001))) {
		t.Error("one more is not")
	}
}

// A value that could not be read says nothing about others.
func TestAMistakeIsSaidOnce(t *testing.T) {
	for text, want := range map[string]int{
		"memory = \"x\"":                                     1,
		"arch = \"x\"":                                       1,
		"accel = \"x\"\narch = \"aarch64\"":                  1,
		"[[disk]]\nsize = \"x\"":                             1,
		"[[nic]]\nforward = [\"1:1\"]\n[[nic]]\nmac = \"x\"": 2,
	} {
		_, err := Parse([]byte(text), hostEnv())
		if mistakes, ok := errors.AsType[Errors](err); !ok || len(mistakes) != want {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Three forwards of one port are two mistakes, each with the first that has it.
func TestAPortIsTakenByTheFirst(t *testing.T) {
	const text = "[[nic]]\ntype = \"user\"\nforward = [\n\"1000:22\",\n\"0.0.0.0:1000:23\",\n\"1000:24\",\n]\n"
	_, err := Parse([]byte(text), hostEnv())
	mistakes, ok := errors.AsType[Errors](err)
	if !ok || len(mistakes) != 2 {
		t.Fatalf("got %v", err)
	}
	for i, line := range []int{5, 6} {
		want := `the port is taken by "127.0.0.1:1000:22" on line 4`
		if mistakes[i].Line != line || !strings.HasSuffix(mistakes[i].Text, want) {
			t.Errorf("got %v, want line %d, %s", mistakes[i], line, want)
		}
	}
}

func TestAChoiceOfANIC(t *testing.T) {
	for text, want := range map[string]NICChoice{"any": AnyNIC, "0": "0", "07": "7"} {
		c := NICChoice("3")
		if err := c.UnmarshalText([]byte(text)); err != nil || c != want {
			t.Errorf("%s: got %q, %v", text, c, err)
		}
	}
	for _, text := range []string{"8", "08", "010", "0x1", "-1", "", "Any", "256"} {
		var c NICChoice
		if err := c.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%s: taken for %q", text, c)
		}
	}
	for _, c := range []struct {
		choice NICChoice
		index  int
		want   bool
	}{{AnyNIC, 0, true}, {AnyNIC, 5, true}, {"2", 2, true}, {"2", 1, false}, {"0", 0, true}} {
		if got := c.choice.Takes(NIC{Index: c.index}); got != c.want {
			t.Errorf("%s takes NIC %d: %v", c.choice, c.index, got)
		}
	}
}

func TestWhenAVMIsStartedAgain(t *testing.T) {
	for _, want := range []Restart{RestartNo, RestartOnFailure} {
		var r Restart
		if err := r.UnmarshalText([]byte(want)); err != nil || r != want {
			t.Errorf("%s: got %q, %v", want, r, err)
		}
	}
	if err := new(Restart).UnmarshalText([]byte("always")); err == nil {
		t.Error("always is taken")
	}
}

func TestNothingHasASizeToo(t *testing.T) {
	if got := Size(0).String(); got != "0B" {
		t.Error(got)
	}
}

func TestAValueIsShownUpToALength(t *testing.T) {
	for n, want := range map[int]string{
		200: `"` + strings.Repeat("a", 200) + `"`, 201: `"` + strings.Repeat("a", 200) + `"…`,
	} {
		if got := show(strings.Repeat("a", n)); got != want {
			t.Errorf("%d bytes: %s", n, got)
		}
	}
}

// "arm64" is aarch64 to Debian and Go; what is far from every name gets no advice.
func TestTheArchitectureThatIsMeant(t *testing.T) {
	const must = `must be "x86_64" or "aarch64"`
	for typed, meant := range map[string]string{
		"amd64": `: did you mean "x86_64"?`, "arm64": `: did you mean "aarch64"?`, "x86-64": `: did you mean "x86_64"?`, "sparc": "",
	} {
		if err := checkArch(typed); err == nil || err.Error() != must+meant {
			t.Errorf("%s: %v", typed, err)
		}
	}
}
