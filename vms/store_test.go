package vms

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// newStore is a store in a directory of the test's own.
func newStore(t *testing.T) Store {
	t.Helper()
	root := t.TempDir()
	none := func(string) string { return "" }
	return Store{Dirs: FindDirs(Surroundings{Getenv: none, Home: root, UID: 1000, Tmp: root, Users: root}), Home: root, Arch: "x86_64", MachineID: "id", UID: 1000}
}

// put writes a file, its directories included.
func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDirsFollowTheXDGSpecification(t *testing.T) {
	env := map[string]string{}
	run := t.TempDir()
	if err := os.Chmod(run, 0o700); err != nil {
		t.Fatal(err)
	}
	find := func() Dirs {
		return FindDirs(Surroundings{Getenv: func(name string) string { return env[name] }, Home: "/home/u", UID: os.Getuid(), Tmp: "/tmp", Users: "/nosuch"})
	}
	want := Dirs{
		Config:  "/home/u/.config/qlaunch/vms",
		Data:    "/home/u/.local/share/qlaunch",
		State:   "/home/u/.local/state/qlaunch",
		Runtime: fmt.Sprintf("/tmp/qlaunch-%d", os.Getuid()),
	}
	if diff := cmp.Diff(want, find()); diff != "" {
		t.Error(diff)
	}
	env["XDG_CONFIG_HOME"] = "relative, so ignored"
	if diff := cmp.Diff(want, find()); diff != "" {
		t.Error(diff)
	}
	env["XDG_CONFIG_HOME"], env["XDG_DATA_HOME"], env["XDG_STATE_HOME"], env["XDG_RUNTIME_DIR"] = "/c", "/d/", "/s", run
	want = Dirs{Config: "/c/qlaunch/vms", Data: "/d/qlaunch", State: "/s/qlaunch", Runtime: run + "/qlaunch", Session: run}
	if diff := cmp.Diff(want, find()); diff != "" {
		t.Error(diff)
	}
}

func TestARuntimeDirectoryThatIsNotTheUsersOwnIsNotUsed(t *testing.T) {
	tmp := t.TempDir()
	uid := os.Getuid()
	dir := t.TempDir()
	users := filepath.Join(dir, "users")
	logind := filepath.Join(users, strconv.Itoa(uid))
	for path, mode := range map[string]fs.FileMode{"good": 0o700, "open": 0o755, "group": 0o750, "shut": 0o500} {
		if err := errors.Join(os.Mkdir(filepath.Join(dir, path), 0o700), os.Chmod(filepath.Join(dir, path), mode)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, filepath.Join(dir, "file"), "")
	chosen := func(runtime string) string {
		env := map[string]string{"XDG_RUNTIME_DIR": runtime}
		d := FindDirs(Surroundings{Getenv: func(name string) string { return env[name] }, Home: "/home/u", UID: uid, Tmp: tmp, Users: users})
		if d.Session != "" && d.Runtime != filepath.Join(d.Session, "qlaunch") {
			t.Errorf("%q: run directories in %s, and not in %s", runtime, d.Runtime, d.Session)
		}
		return d.Runtime
	}
	others := "/proc/self/root/usr" // root's
	if uid == 0 {
		others = filepath.Join(dir, "others")
		if err := errors.Join(os.Mkdir(others, 0o700), os.Chown(others, 12345, 12345)); err != nil {
			t.Fatal(err)
		}
	}
	unusable := []string{"", "relative", ".", dir + "/nosuch", dir + "/file", dir + "/open", dir + "/group", dir + "/shut", others}
	for _, runtime := range unusable {
		if got, want := chosen(runtime), filepath.Join(tmp, fmt.Sprintf("qlaunch-%d", uid)); got != want {
			t.Errorf("without logind, %q: got %s, want %s", runtime, got, want)
		}
	}
	if err := os.MkdirAll(logind, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, runtime := range unusable {
		if got, want := chosen(runtime), logind+"/qlaunch"; got != want {
			t.Errorf("%q: got %s, want %s", runtime, got, want)
		}
	}
	if got, want := chosen(dir+"/good/"), dir+"/good/qlaunch"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestNamesAreThoseOfDefinitions(t *testing.T) {
	s := newStore(t)
	if names, err := s.Names(); err != nil || len(names) != 0 {
		t.Errorf("without a directory: got %v, %v", names, err)
	}
	for _, name := range []string{"web.toml", "a.toml", "a-b.toml", "Upper.toml", ".hidden.toml", "web.toml~", "note.txt", "-x.toml"} {
		put(t, filepath.Join(s.Dirs.Config, name), "")
	}
	put(t, filepath.Join(s.Dirs.Config, "dir.toml", "inside.toml"), "")
	names, err := s.Names()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "a-b", "web"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestAVMIsLoadedByItsNameOrByAPath(t *testing.T) {
	s := newStore(t)
	put(t, s.Path("web"), `description = "by name"`)
	here := t.TempDir()
	put(t, filepath.Join(here, "web.toml"), `description = "by path"`)
	put(t, filepath.Join(here, "vms", "db"), `description = "without .toml"`)
	t.Chdir(here)
	for ref, want := range map[string]VM{
		"web":                           {Name: "web", File: s.Path("web"), Description: "by name"},
		"web.toml":                      {Name: "web", File: filepath.Join(here, "web.toml"), Description: "by path"},
		"./web.toml":                    {Name: "web", File: filepath.Join(here, "web.toml"), Description: "by path"},
		filepath.Join(here, "web.toml"): {Name: "web", File: filepath.Join(here, "web.toml"), Description: "by path"},
		"vms/db":                        {Name: "db", File: filepath.Join(here, "vms", "db"), Description: "without .toml"},
	} {
		got, err := s.Load(ref)
		if err != nil {
			t.Error(err)
			continue
		}
		if got.Name != want.Name || got.File != want.File || got.Description != want.Description {
			t.Errorf("%s: got %s, %s, %s", ref, got.Name, got.File, got.Description)
		}
		if want := filepath.Join(s.Dirs.Data, "vms", got.Name); got.DataDir != want {
			t.Errorf("%s: got data in %s; want %s", ref, got.DataDir, want)
		}
		if want := filepath.Join(s.Dirs.State, got.Name); got.StateDir != want {
			t.Errorf("%s: got state in %s; want %s", ref, got.StateDir, want)
		}
		if want := filepath.Join(s.Dirs.Runtime, got.Name); got.RunDir != want {
			t.Errorf("%s: got run in %s; want %s", ref, got.RunDir, want)
		}
	}
}

func TestAVMThatIsNotThere(t *testing.T) {
	s := newStore(t)
	if _, err := s.Load("web"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Load("./web.toml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if _, err := s.Started("web", s.Env("web", "").RunDir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	for ref, want := range map[string]string{
		"Web":          `name "Web": must be 1 to 48 of a-z, 0-9 and -, with a letter or digit at both ends`,
		"":             `name "": must be 1 to 48 of a-z, 0-9 and -, with a letter or digit at both ends`,
		"./My VM.toml": `name "My VM": must be 1 to 48 of a-z, 0-9 and -, with a letter or digit at both ends`,
		"/":            `name "/": must be 1 to 48 of a-z, 0-9 and -, with a letter or digit at both ends`,
		"..":           `name "..": must be 1 to 48 of a-z, 0-9 and -, with a letter or digit at both ends`,
	} {
		if _, err := s.Load(ref); err == nil || err.Error() != want {
			t.Errorf("%q: got %v", ref, err)
		}
	}
}

func TestARunningVMIsKnownByWhatItWasStartedWith(t *testing.T) {
	s := newStore(t)
	put(t, s.Path("web"), "cpus = 3\n[[disk]]\npath = \"d.qcow2\"\n")
	vm, err := s.Load("web")
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(vm.RunDir, StartedFile), string(append(Head(vm), Format(vm)...)))
	if err := os.Remove(vm.File); err != nil {
		t.Fatal(err)
	}
	if got := Origin(vm.RunDir); got != vm.File {
		t.Errorf("from %q; want %q", got, vm.File)
	}
	vm.File = filepath.Join(vm.RunDir, "config.toml")
	elsewhere := s
	elsewhere.Dirs.Data, elsewhere.Dirs.State, elsewhere.Dirs.Runtime = "/d", "/s", "/r"
	for _, s := range []Store{s, elsewhere} {
		got, err := s.Started("web", vm.RunDir)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(vm, got, cmp.Comparer(sameForward)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestAHeadIsBelievedInItsFormAlone(t *testing.T) {
	s := newStore(t)
	vm, err := Parse(nil, s.Env("web", s.Path("web")))
	if err != nil {
		t.Fatal(err)
	}
	for _, head := range []string{"", "# from web.toml\n", "# from \"web.toml\"\n# data \"x/web\"\n", "# data \"/elsewhere\"\n# state \"/etc\"\n", "\n# data \"/d/web\"\n", "# from \"/a\n"} {
		put(t, filepath.Join(vm.RunDir, StartedFile), head+string(Format(vm)))
		if got := Origin(vm.RunDir); got != "" {
			t.Errorf("%q: from %q", head, got)
		}
		got, err := s.Started("web", vm.RunDir)
		if err != nil || got.DataDir != vm.DataDir || got.StateDir != vm.StateDir {
			t.Errorf("%q: data in %s, state in %s, %v", head, got.DataDir, got.StateDir, err)
		}
	}
}

func TestTwoVMsWithOneMACClash(t *testing.T) {
	s := newStore(t)
	const mac = "[[nic]]\nmac = \"52:54:00:00:00:01\"\n"
	put(t, s.Path("a"), mac)
	put(t, s.Path("b"), "[[nic]]\ntype = \"none\"\n"+mac)
	put(t, s.Path("broken"), "cpus = 0\n"+mac)
	put(t, s.Path("user"), mac+"type = \"user\"\n")
	put(t, s.Path("other"), "")
	for name, want := range map[string]string{
		"a":     s.Path("a") + ": mac 52:54:00:00:00:01 is that of " + s.Path("b") + " too",
		"b":     s.Path("b") + ": mac 52:54:00:00:00:01 is that of " + s.Path("a") + " too",
		"user":  "",
		"other": "",
	} {
		vm, err := s.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		err = s.Clash(vm)
		if clash, ok := errors.AsType[*ClashError](err); ok != (want != "") || ok && clash.Error() != want {
			t.Errorf("%s: got %v; want %q", name, err, want)
		}
	}
}

func TestAMACClashesHoweverItIsWritten(t *testing.T) {
	s := newStore(t)
	second := StableMAC(s.MachineID, s.UID, "web", 1)
	for what, c := range map[string]struct{ mac, other string }{
		"in capitals, with dashes":    {"52:54:00:0a:0b:0c", "[[nic]]\nmac = '52-54-00-0A-0B-0C'\n"},
		"with an escape":              {"52:54:00:0a:0b:0c", `nic = [{mac = "52:54:00:0a:0b:0\u0063"}]`},
		"a default":                   {StableMAC(s.MachineID, s.UID, "web", 0).String(), ""},
		"the default of a second NIC": {second.String(), "nic = [{}, {}]\n"},
	} {
		put(t, s.Path("web"), c.other)
		put(t, s.Path("mine"), "[[nic]]\nmac = \""+c.mac+"\"\n")
		vm, err := s.Load("mine")
		if err != nil {
			t.Fatal(err)
		}
		want := s.Path("mine") + ": mac " + c.mac + " is that of " + s.Path("web") + " too"
		if err := s.Clash(vm); err == nil || err.Error() != want {
			t.Errorf("%s: got %v; want %s", what, err, want)
		}
	}
}

func TestTwoVMsWithOneNameClash(t *testing.T) {
	s := newStore(t)
	put(t, s.Path("web"), "")
	elsewhere := filepath.Join(t.TempDir(), "web.toml")
	put(t, elsewhere, "")
	vm, err := s.Load(elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	want := elsewhere + ": the name web is that of " + s.Path("web") + " too"
	if err := s.Clash(vm); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(s.Path("web")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, s.Path("web")); err != nil {
		t.Fatal(err)
	}
	if err := s.Clash(vm); err != nil {
		t.Errorf("linked into the store: got %v", err)
	}
}

func TestWhatChangedSinceTheStart(t *testing.T) {
	parse := func(text string) VM {
		t.Helper()
		vm, err := Parse([]byte(text), hostEnv())
		if err != nil {
			t.Fatal(err)
		}
		return vm
	}
	for _, test := range []struct {
		name, started, now string
		want               []string
	}{
		{"nothing", "cpus = 4", "# more\ncpus = 4", nil},
		{"a default that is now written", "", "cpus = 2\nmachine = \"q35\"", nil},
		{"numbers", "", "cpus = 3\nmemory = \"1GiB\"", []string{"memory", "cpus"}},
		{"tables", "", "[[disk]]\n[ssh]\nport = 23\n[kernel]\nimage = \"k\"", []string{"kernel", "disk", "ssh"}},
		{"auto got a bridge", "nic = [{bridge = \"virbr0\"}]", "", nil},
		{"auto got an accelerator", "accel = \"tcg\"", "accel = \"auto\"", nil},
		{"auto is asked for another NIC", "nic = [{bridge = \"virbr0\"}]", "[[nic]]\n[[nic]]", []string{"nic"}},
		{"another bridge", "nic = [{bridge = \"virbr0\"}]", "nic = [{bridge = \"br0\"}]", []string{"nic"}},
		{"a NIC of another type", "nic = [{type = \"user\"}]", "", []string{"nic"}},
		{"a NIC switched off", "[[nic]]\n[[nic]]", "[[nic]]\ntype = \"none\"\n[[nic]]", []string{"nic"}},
	} {
		now := parse(test.now)
		if diff := cmp.Diff(test.want, Changed(parse(test.started), now)); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
		if diff := cmp.Diff(parse(test.now), now, cmp.Comparer(sameForward)); diff != "" {
			t.Errorf("%s: the VM was altered: %s", test.name, diff)
		}
	}
}
