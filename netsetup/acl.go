package netsetup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// DefaultACL is the path of the helper's ACL, which is compiled into the helper from QEMU's configuration directory.
// The parser below follows the measured behaviour of the helper; the tests run both on the same files.
const DefaultACL = "/etc/qemu/bridge.conf"

// A Verdict says whether an ACL allows a bridge, and which rule decided.
type Verdict struct {
	Bridge  string
	ACL     string // the file that was read
	Allowed bool

	// The rule that decided: its file, its line from 1, its text. All are zero when no rule mentions the bridge. The
	// helper takes a comment after a name as part of the name; a rule that would allow the bridge without such a
	// comment is given here as a rule that denies it.
	File string
	Line int
	Rule string

	// Skipped are the includes that the helper silently ignores, entirely or from their first invalid line on:
	// one [*ACLError] each, with [ErrACLMissing], [ErrACLUnreadable] or [ErrACLSyntax].
	Skipped []error
}

// Allowed returns whether the helper would let this user attach a tap to the bridge, according to the ACL file conf,
// normally [DefaultACL]. It reads conf and all its includes as the helper does, with this process's own rights.
// Relative paths start at "/", where [OpenTap] runs the helper.
//
// For a bridge that is not allowed it returns a verdict, not an error. The error is an [*ACLError] for an ACL with
// which the helper refuses every bridge: [ErrACLMissing], [ErrACLUnreadable] or [ErrACLSyntax].
func Allowed(conf, bridge string) (Verdict, error) {
	l := aclLoader{seen: map[string]bool{}}
	if err := l.load(conf); err != nil {
		return Verdict{Bridge: bridge, ACL: conf}, forBridge(err, bridge)
	}
	v := judge(l.rules, bridge)
	v.ACL, v.Skipped = conf, l.skipped
	return v, nil
}

// Err returns nil for an allowed bridge, and otherwise an [*ACLError] with the reason: a rule that denies the bridge, a
// comment after its name, an include that cannot be read and might allow it, or no rule that mentions it.
func (v Verdict) Err() error {
	e := &ACLError{Failure: BridgeFailure(v.Bridge, ErrDenied, ""), Target: Target{Bridge: v.Bridge}, File: v.ACL}
	switch {
	case v.Allowed:
		return nil
	case v.Rule != "":
		e.File, e.Line = v.File, v.Line
		e.Detail = fmt.Sprintf("%s:%d: %s", v.File, v.Line, v.Rule)
		if strings.HasPrefix(v.Rule, "allow ") {
			e.Cause = ErrACLComment
		}
		return e
	}
	for _, cause := range []error{ErrACLUnreadable, ErrACLSyntax} {
		for _, err := range v.Skipped {
			if errors.Is(err, cause) {
				return forBridge(err, v.Bridge)
			}
		}
	}
	e.Detail = "not mentioned in " + v.ACL
	return e
}

// CheckACL checks data as the content of [DefaultACL], without reading includes. It returns an [*ACLError] if a line is
// invalid, since the helper then refuses every bridge, or if a rule denies this one. A nil error does not mean that a
// rule allows the bridge.
func CheckACL(data []byte, bridge string) error {
	rules, bad := parseACL(DefaultACL, data)
	if bad != nil {
		return forBridge(bad, bridge)
	}
	if v := judge(rules, bridge); v.Rule != "" {
		return v.Err()
	}
	return nil
}

// forBridge adds the bridge to an error of the ACL.
func forBridge(err error, bridge string) error {
	e, ok := errors.AsType[*ACLError](err)
	if !ok {
		return fmt.Errorf("bridge %q: %w", bridge, err)
	}
	asked := *e
	asked.What, asked.Bridge = fmt.Sprintf("bridge %q", bridge), bridge
	return &asked
}

// A rule is one line of an ACL that is not a comment.
type rule struct {
	file string
	line int
	verb string // allow, deny or include
	name string // a bridge, "all", or a path
}

func (r rule) String() string { return r.verb + " " + r.name }

// judge decides as the helper does: any rule that denies the bridge wins, wherever it is; else any rule that allows it.
func judge(rules []rule, bridge string) Verdict {
	names := func(name string) bool { return name == bridge || name == "all" }
	if v, ok := first(rules, "deny", names); ok {
		v.Bridge = bridge
		return v
	}
	v, ok := first(rules, "allow", names)
	if v.Allowed = ok; !ok {
		v, _ = first(rules, "allow", func(name string) bool {
			before, _, commented := strings.Cut(name, "#")
			return commented && names(strings.TrimRight(before, blanks))
		})
	}
	v.Bridge = bridge
	return v
}

// first returns a verdict with the first rule of the verb whose name meant accepts.
func first(rules []rule, verb string, meant func(name string) bool) (Verdict, bool) {
	i := slices.IndexFunc(rules, func(r rule) bool { return r.verb == verb && meant(r.name) })
	if i < 0 {
		return Verdict{}, false
	}
	return Verdict{File: rules[i].file, Line: rules[i].line, Rule: rules[i].String()}, true
}

// Limits on what is read, far above the size of any real ACL. The helper is only limited by its 1024 open files.
const (
	maxACLSize  = 1 << 20 // bytes of one file
	maxACLFiles = 64      // files in all
)

// An aclLoader collects the rules of a file and of what it includes.
type aclLoader struct {
	rules   []rule
	skipped []error
	seen    map[string]bool // by path: each file is read once, so that a cycle ends; the helper reaches its limit of open files
}

// load reads one file. When it returns an error, the rules before the invalid line count all the same, as they do in
// the helper; this matters only for includes.
func (l *aclLoader) load(path string) error {
	if l.seen[path] {
		return nil
	}
	l.seen[path] = true
	if len(l.seen) > maxACLFiles {
		return fmt.Errorf("%s: more than %d files included", path, maxACLFiles)
	}
	data, err := readACL(path)
	if err != nil {
		return err
	}
	rules, bad := parseACL(path, data)
	for _, r := range rules {
		if r.verb != "include" {
			l.rules = append(l.rules, r)
			continue
		}
		if err := l.load(rooted(r.name)); err != nil {
			l.skipped = append(l.skipped, err)
		}
	}
	return bad
}

// rooted returns the path that the helper opens when its working directory is "/".
func rooted(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return "/" + path
}

// readACL reads an ACL file, or returns why this user cannot. Like the helper, it takes a directory, or /dev/null as
// a mask for a file, as an empty ACL.
func readACL(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // the open of a FIFO must not block
	if err != nil {
		return nil, aclOpenError(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.IsDir() || info.Mode()&os.ModeCharDevice != 0:
		return nil, nil
	case !info.Mode().IsRegular():
		detail := path + " is not a regular file"
		return nil, &ACLError{Failure: Failure{What: path, Cause: ErrACLSyntax, Detail: detail}, File: path}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxACLSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxACLSize {
		detail := fmt.Sprintf("%s is larger than %d bytes", path, maxACLSize)
		return nil, &ACLError{Failure: Failure{What: path, Cause: ErrACLSyntax, Detail: detail}, File: path}
	}
	return data, nil
}

// aclOpenError returns the reason why an ACL file could not be opened.
func aclOpenError(path string, err error) error {
	e := &ACLError{Failure: Failure{What: path, Detail: path}, File: path}
	switch {
	case errors.Is(err, fs.ErrPermission):
		e.Cause = ErrACLUnreadable
		e.Access = accessTo(path)
		if e.Group != "" {
			e.Detail = fmt.Sprintf("%s is for group %s", path, e.Group)
		}
		if e.LogInAgain {
			e.Detail += ", which this session does not have yet"
		}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		e.Cause = ErrACLMissing
	default:
		return err
	}
	return e
}

// fgetsSize is the number of bytes of a line that the helper reads at once. It takes the rest as another line.
const fgetsSize = 4096 - 1

// blanks are the characters that the helper skips around words: those of GLib's g_ascii_isspace, which has no vertical
// tab.
const blanks = " \t\n\f\r"

// parseACL reads the lines of one file up to the first that the helper would refuse. bad describes that line, and is
// nil if there is none.
func parseACL(file string, data []byte) (rules []rule, bad error) {
	for n := 1; len(data) > 0; {
		end := min(len(data), fgetsSize)
		if i := bytes.IndexByte(data[:end], '\n'); i >= 0 {
			end = i + 1
		}
		line := data[:end]
		data = data[end:]
		r, reason := parseRule(cString(line))
		r.file, r.line = file, n
		if reason != "" {
			detail := fmt.Sprintf("%s:%d: %s", file, n, reason)
			return rules, &ACLError{Failure: Failure{What: file, Cause: ErrACLSyntax, Detail: detail}, File: file, Line: n}
		}
		if r.verb != "" {
			rules = append(rules, r)
		}
		if line[len(line)-1] == '\n' {
			n++
		}
	}
	return rules, nil
}

// cString returns the line as a C string: up to the first NUL.
func cString(line []byte) string {
	before, _, _ := bytes.Cut(line, []byte{0})
	return string(before)
}

// parseRule reads one line: a verb, a blank, and the rest as the name, including a comment after the name. The verb
// ends at the first space of the line, and at a tab only if the line has no space. reason is set if the helper refuses
// the line; the verb of an empty line or a comment is empty.
func parseRule(line string) (r rule, reason string) {
	line = strings.TrimLeft(line, blanks)
	if line == "" || line[0] == '#' {
		return rule{}, ""
	}
	verb, name, ok := strings.Cut(line, " ")
	if !ok {
		verb, name, ok = strings.Cut(line, "\t")
	}
	if !ok {
		return rule{}, fmt.Sprintf("%q: a rule is a verb and a name", strings.TrimRight(line, blanks))
	}
	name = strings.Trim(name, blanks)
	switch verb {
	case "allow", "deny":
		if len(name) > MaxName {
			return rule{}, fmt.Sprintf("name %q: longer than %d bytes", name, MaxName)
		}
	case "include":
	default:
		return rule{}, fmt.Sprintf("%q: must be allow, deny or include", verb)
	}
	return rule{verb: verb, name: name}, ""
}
