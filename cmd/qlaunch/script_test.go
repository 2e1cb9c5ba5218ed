package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/test/fakeqemu"
)

var update = flag.Bool("update", false, "write the expected outputs anew")

// A script runs these as programs of their own: qlaunch, and what stands at the
// process boundary around it.
func TestMain(m *testing.M) {
	syscall.Umask(0o022)
	testscript.Main(m, map[string]func(){
		"qlaunch": func() {
			s, ctx := newSession(os.Getenv("RUN_USER"))
			os.Exit(s.main(ctx, os.Args[1:]))
		},
		"fake-qemu": fakeqemu.Main,
		"interrupt": interrupt,
		"terminal":  terminal,
		"screen":    screen,
		"unread":    unread,
		"supervise": supervise,
	})
}

// Each testdata/script/*.txtar is a user's session. Beside testscript's own
// commands it has
//
//	run CODE LABEL PROGRAM ARG…   the program ends with that code, prints the file LABEL.out on stdout
//	                              and LABEL.err on stderr, and nothing where there is no such file, or for -
//	await FILE [PATTERN]          until the file is there, or holds the pattern
//	expand FILE…                  puts the environment's variables into files
//	bootsector FILE TEXT [MANNER] makes a disk whose guest writes the text to its console and halts, or, with the
//	                              manner echo, writes back what it reads there, forever, or, with floods, an A, forever
//	fit FILE…                     each holds nothing that a terminal acts on but what progress lines are made with
//	example NAME                  types the example at the end of a --help, which must end well
//	examples-left NAME…           all that the script has not typed
//	alone [NUMBER]                so many QEMUs of this script run, without a number none
//
// What differs from run to run is written as a word in capitals: see masks.
func TestScripts(t *testing.T) {
	for _, tool := range []string{"qemu-system-x86_64", "qemu-img", "bash", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatal(err)
		}
	}
	goldens := &goldens{new: map[string]map[string]string{}}
	t.Cleanup(func() { goldens.write(t) })
	commands := map[string]func(*testscript.TestScript, bool, []string){
		"run":    goldens.run,
		"await":  await,
		"expand": expand,
		"alone":  alone,
		"fit":    fit,

		"bootsector": bootsector,
	}
	maps.Copy(commands, typeExample(examples(t)))
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Setup:              home,
		Cmds:               commands,
	})
}

// home gives a script a user's directories of its own. The runtime directory's path is
// short, as it is on a real host: the names of sockets have 107 bytes.
func home(env *testscript.Env) error {
	run, err := os.MkdirTemp("/tmp", "q")
	if err != nil {
		return err
	}
	env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
	env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
	env.Setenv("XDG_DATA_HOME", filepath.Join(env.WorkDir, "data"))
	env.Setenv("XDG_STATE_HOME", filepath.Join(env.WorkDir, "state"))
	env.Setenv("XDG_RUNTIME_DIR", run)
	env.Setenv("RUN", run)
	env.Setenv("RUN_USER", filepath.Join(env.WorkDir, "run-user")) // never the user's own: a VM of the test's name may run there
	env.Setenv("VMS", filepath.Join(env.WorkDir, "config/qlaunch/vms"))
	env.Setenv("GORACE", "atexit_sleep_ms=0") // else each program takes a second longer
	env.Setenv("USER", "user")                // the hints name $USER as it is
	qlaunch, err := exec.LookPath("qlaunch")
	if err != nil {
		return err
	}
	env.Setenv("QLAUNCH", qlaunch)
	env.Setenv("ESCAPE", "\x1b[2J")
	env.Setenv("LONG", strings.Repeat("a", 49))
	port, err := freePort()
	if err != nil {
		return err
	}
	env.Setenv("PORT", port)
	env.Defer(func() {
		for _, pid := range started(run, env.WorkDir) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		_ = os.RemoveAll(run)
	})
	return os.MkdirAll(filepath.Join(env.WorkDir, "home"), 0o700)
}

// freePort is a port of the loopback address that nobody listens on.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// started are the QEMUs, real and fake, whose command line names a directory of a script.
func started(dirs ...string) []int {
	var pids []int
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		line, _ := os.ReadFile(file)
		program, _, _ := strings.Cut(string(line), "\x00")
		if !strings.Contains(filepath.Base(program), "qemu") || strings.Contains(program, "qemu-img") {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		for _, dir := range dirs {
			if strings.Contains(string(line), dir+"/") {
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}

func alone(ts *testscript.TestScript, _ bool, args []string) {
	want := 0
	if len(args) == 1 {
		want, _ = strconv.Atoi(args[0])
	}
	if pids := started(ts.Getenv("RUN"), ts.Getenv("WORK")); len(pids) != want {
		ts.Fatalf("QEMUs that run: %d, want %d", pids, want)
	}
}

func await(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) == 1 {
		ts.Check(until(ts.MkAbs(args[0]), exists))
		return
	}
	pattern := regexp.MustCompile(args[1])
	err := until(ts.MkAbs(args[0]), func(path string) bool {
		text, err := os.ReadFile(path)
		return err == nil && pattern.Match(text)
	})
	ts.Check(err)
}

func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, file := range args {
		text := os.Expand(ts.ReadFile(file), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(file), []byte(text), 0o600))
	}
}

// bootsector makes a disk whose first sector has a program for the BIOS that writes a
// text to the first serial port, byte by byte, and halts.
func bootsector(ts *testscript.TestScript, _ bool, args []string) {
	text, err := strconv.Unquote(`"` + args[1] + `"`)
	ts.Check(err)
	code := []byte{0xba, 0xf8, 0x03} // mov dx, 0x3f8
	if len(args) == 3 && args[2] == "floods" {
		code = append([]byte{0xfa}, code...) // cli: the BIOS writes the rest of its own words when its clock ticks
	}
	for _, c := range []byte(text) {
		code = append(code, 0xb0, c, 0xee) // mov al, c; out dx, al
	}
	if len(args) == 3 {
		code = append(code, manners[args[2]]...)
	}
	code = append(code, 0xf4, 0xeb, 0xfd) // hlt; jmp to it
	sector := append(code, make([]byte, 510-len(code))...)
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o700))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), append(append(sector, 0x55, 0xaa), make([]byte, 1<<20)...), 0o600))
}

// manners are what a boot sector's guest does when it has said its text; dx is the serial port.
var manners = map[string][]byte{
	"floods": {0xb0, 'A', 0xee, 0xeb, 0xfd}, // mov al, 'A'; out dx, al; jmp to that
	"echo": {
		0xba, 0xfd, 0x03, // mov dx, 0x3fd: the line's status
		0xec,       // in al, dx
		0x24, 0x21, // and al, 0x21
		0x3c, 0x21, // cmp al, 0x21: a byte is there, and room for one
		0x75, 0xf6, // jne to the start
		0xba, 0xf8, 0x03, // mov dx, 0x3f8
		0xec, 0xee, // in al, dx; out dx, al
		0xeb, 0xef, // jmp to the start
	},
}

// goldens holds what programs printed against what the scripts say, and with
// -update the scripts against what was printed.
type goldens struct {
	mutex sync.Mutex
	new   map[string]map[string]string
}

func (g *goldens) run(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: run CODE LABEL PROGRAM ARG…")
	}
	code, label := args[0], args[1]
	ended := exitCode(ts, args[2:])
	for end := time.Now().Add(patience); starved(ts, label, args[2:]) && time.Now().Before(end); {
		ended = exitCode(ts, args[2:])
	}
	g.compare(ts, label+".out", ts.ReadFile("stdout"))
	g.compare(ts, label+".err", ts.ReadFile("stderr"))
	if ended != code {
		ts.Fatalf("exit code %s, want %s", ended, code)
	}
}

// exitCode runs a program and gives its exit code.
func exitCode(ts *testscript.TestScript, argv []string) string {
	err := ts.Exec(argv[0], argv[1:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return strconv.Itoa(exit.ExitCode())
	}
	if err != nil {
		ts.Fatalf("%v", err)
	}
	return "0"
}

// starved tells an answer that a busy machine gives in place of the one that is expected: QEMU
// gets no processor for the second that it has to say what it does, and it is true that it does not answer. That is
// asked again; every other answer than the one that is expected is wrong at once.
func starved(ts *testscript.TestScript, label string, argv []string) bool {
	if *update || len(argv) < 2 || argv[0] != "qlaunch" || argv[1] != "status" && argv[1] != "ls" {
		return false
	}
	want, _ := os.ReadFile(filepath.Join(ts.Getenv("WORK"), label+".out"))
	got := ts.ReadFile("stdout")
	const mute = string(qemu.Unresponsive)
	return strings.Contains(got, mute) && !strings.Contains(got, "stopped by a signal") && !strings.Contains(string(want), mute)
}

func (g *goldens) compare(ts *testscript.TestScript, file, got string) {
	got = mask(ts, got)
	if *update && !strings.HasPrefix(file, "-.") {
		g.mutex.Lock()
		defer g.mutex.Unlock()
		if g.new[ts.Name()] == nil {
			g.new[ts.Name()] = map[string]string{}
		}
		g.new[ts.Name()][file] = got
		return
	}
	want, err := os.ReadFile(filepath.Join(ts.Getenv("WORK"), file))
	if err != nil && !os.IsNotExist(err) {
		ts.Fatalf("%v", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		ts.Fatalf("%s (-want +got)\n%s", file, diff)
	}
}

// masks are what differs from run to run.
var masks = []struct{ pattern, word string }{
	{`(?m)^(pid: +)\d+$`, "${1}PID"},
	{`(?m)^(uptime: +)[0-9hms]+$`, "${1}UPTIME"},
	{`(?m)^(\S+ +(?:running|paused|unresponsive|orphan) .* )[0-9hms]+$`, "${1}UPTIME"},
	{`("pid": )\d+`, "${1}PID"},
	{`("started": )"[^"]+"`, "${1}TIME"},
	{`\bpid \d+`, "pid PID"},
	{`\bMAINPID=\d+`, "MAINPID=PID"},
	{`(-uuid"?,?\s+"?)[0-9a-f-]{36}`, "${1}UUID"},
	{`\bshow-user \S+`, "show-user USER"},
	{`\bkill -CONT \d+`, "kill -CONT PID"},
	{`(\.edit-)\d+`, "${1}N"},
	{`(\.qlaunch-)[0-9a-f]{16}`, "${1}HASH"},
	{`\d+[KMGTP]iB free`, "FREE free"},
	{`the host has \d+[KMGTP]?i?B available and \d+[KMGTP]?i?B of swap`, "the host has MEMORY"},
	{`the control group \S+ has \d+[KMGTP]?i?B left`, "the host has MEMORY"},
}

func mask(ts *testscript.TestScript, text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "(no newline)\n"
	}
	text = strings.NewReplacer("\x1b", "␛", "\r", "␍", ts.Getenv("QLAUNCH"), "$QLAUNCH", filepath.Dir(ts.Getenv("QLAUNCH")), "$BIN", ts.Getenv("RUN"), "$RUN", ts.Getenv("WORK"), "$WORK").Replace(text)
	text = regexp.MustCompile(`\b`+ts.Getenv("PORT")+`\b`).ReplaceAllString(text, "PORT")
	if who, err := user.Current(); err == nil { // whom ssh logs in as by default
		text = regexp.MustCompile(`\bUser([= ])`+regexp.QuoteMeta(who.Username)+`\b`).ReplaceAllString(text, "User${1}ME")
	}
	for _, m := range masks {
		text = regexp.MustCompile(m.pattern).ReplaceAllString(text, m.word)
	}
	return text
}

// write puts the outputs into the scripts: a file where there is one, none where nothing is printed.
func (g *goldens) write(t *testing.T) {
	for name, files := range g.new {
		path := filepath.Join("testdata/script", name+".txtar")
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var kept []txtar.File
		for _, file := range archive.Files {
			text, ours := files[file.Name]
			if ours {
				file.Data = []byte(text)
			}
			delete(files, file.Name)
			if !ours || text != "" {
				kept = append(kept, file)
			}
		}
		for _, name := range inOrder(string(archive.Comment), files) {
			kept = append(kept, txtar.File{Name: name, Data: []byte(files[name])})
		}
		archive.Files = kept
		if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// inOrder are the new files that hold something, in the order of the script's lines.
func inOrder(script string, files map[string]string) []string {
	var names []string
	for line := range strings.Lines(script) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "run" {
			continue
		}
		for _, name := range []string{words[2] + ".out", words[2] + ".err"} {
			if files[name] != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

// patience is how long a test waits for what must come.
const patience = time.Minute

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, filepath.Base(os.Args[0])+":", err)
		os.Exit(99)
	}
}
