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

// DefaultACL is the helper's ACL; the path is compiled into it, from QEMU's configuration directory. How the file is
// read below was measured on the helper itself, and the tests run both on the same files.
const DefaultACL = "/etc/qemu/bridge.conf"

// A Verdict is the ACL's word on one bridge.
type Verdict struct {
	Bridge  string
	ACL     string // the file that was asked
	Allowed bool

	// The rule that decided: its file, its line from 1, its text. All zero when no rule mentions the bridge. One that
	// would allow it if no comment stood behind the name, which the helper takes as part of it, is a rule that denies.
	File string
	Line int
	Rule string

	// Skipped are the includes that the helper passes over in silence, wholly or from their first bad line on:
	// an [*ACLError] each, with [ErrACLMissing], [ErrACLUnreadable] or [ErrACLSyntax].
	Skipped []error
}

// Allowed asks an ACL file, normally [DefaultACL], whether the helper would let this user join the bridge.
// It reads what the helper would read: conf and all that it includes, with this process's own rights, relative paths
// from "/", where [OpenTap] runs the helper.
//
// A bridge that is not allowed is a verdict, not an error. The error is an [*ACLError] for an ACL that allows nothing
// at all, to anybody: [ErrACLMissing], [ErrACLUnreadable] or [ErrACLSyntax].
func Allowed(conf, bridge string) (Verdict, error) {
	l := aclLoader{seen: map[string]bool{}}
	if err := l.load(conf); err != nil {
		return Verdict{Bridge: bridge, ACL: conf}, forBridge(err, bridge)
	}
	v := judge(l.rules, bridge)
	v.ACL, v.Skipped = conf, l.skipped
	return v, nil
}

// Err is nil for an allowed bridge, and otherwise an [*ACLError] that says why it is not: the rule that denies it, or
// that a comment has spoilt, an include that might allow it and cannot be read, or that nothing mentions it.
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

// CheckACL reads data as the content of [DefaultACL] without its includes. The error is an [*ACLError] when a line of
// it would close every bridge, or a rule denies this one; nil does not mean that a rule allows it.
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

// forBridge is an error of the ACL as an error of the bridge that asks it.
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

// judge is the helper's decision: denied if any rule denies, wherever it stands; else allowed if any allows.
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

// first is a verdict with the first rule of a verb whose name is one of those that are meant.
func first(rules []rule, verb string, meant func(name string) bool) (Verdict, bool) {
	i := slices.IndexFunc(rules, func(r rule) bool { return r.verb == verb && meant(r.name) })
	if i < 0 {
		return Verdict{}, false
	}
	return Verdict{File: rules[i].file, Line: rules[i].line, Rule: rules[i].String()}, true
}

// Bounds on what is read. The helper has none but its own 1024 open files; no ACL comes near these.
const (
	maxACLSize  = 1 << 20 // bytes of one file
	maxACLFiles = 64      // files in all
)

// An aclLoader collects the rules of a file and of what it includes.
type aclLoader struct {
	rules   []rule
	skipped []error
	seen    map[string]bool // by path: a file adds nothing the second time, and a circle ends; the helper runs into its limit of open files there
}

// load reads one file. Its rules up to a bad line count even when it ends in an error, as they do in the helper;
// that matters for includes alone.
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

// rooted is a path as the helper opens it when it runs in "/".
func rooted(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return "/" + path
}

// readACL reads an ACL file, or says why this user cannot. A directory or /dev/null, which masks a file, is an empty
// ACL, as it is to the helper.
func readACL(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO must not hold us
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

// aclOpenError is the cause of an open that failed.
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

// fgetsSize is how much of a line the helper reads at once: what follows is a line of its own to it.
const fgetsSize = 4096 - 1

// blanks is what the helper skips around words: GLib's g_ascii_isspace, and so no vertical tab.
const blanks = " \t\n\f\r"

// parseACL reads the lines of one file up to the first that the helper would refuse; bad says which, and is nil if
// none.
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

// cString is the line as C sees it: up to a NUL.
func cString(line []byte) string {
	before, _, _ := bytes.Cut(line, []byte{0})
	return string(before)
}

// parseRule reads one line: a verb, a blank, and all the rest as the name, so that a comment behind the name becomes
// part of it. The verb ends at the first space of the line, and at a tab only if the line has no space.
// A reason means that the helper refuses the line; no verb, that it is empty or a comment.
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
