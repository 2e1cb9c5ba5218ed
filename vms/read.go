package vms

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// largest is the maximal size of a definition, in bytes; real ones have a few hundred.
const largest = 1 << 20

// ReadFile reads a definition: a regular file of at most 1 MiB that only the user and root can write or replace; else
// the error is a [*WritableError]. Whoever writes a definition chooses which of the user's files the guest can read,
// so the rule is that of ssh for its configuration (StrictModes in sshd_config(5)).
//
// No path makes it block. It checks the file before it opens it, since opening a device can have effects (a watchdog,
// a tape), and again afterwards, since the path may lead elsewhere by then. O_NONBLOCK opens a FIFO that has no
// writer (open(2)).
func ReadFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := checkFile(path, info); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err = f.Stat()
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(checkFile(path, info), checkAbove(path)); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, largest+1))
	if err != nil {
		return nil, err
	}
	if len(data) > largest {
		return nil, fmt.Errorf("%s: larger than 1 MiB", path)
	}
	return data, nil
}

// WritableError says that somebody else can write a definition, or replace it through a directory above it.
type WritableError struct {
	Path  string // the file, or the directory
	Why   string // who can do what
	Chmod bool   // the reason is the mode, not the owner
	Own   bool   // it belongs to the user, who can change its mode
}

func (e *WritableError) Error() string { return e.Path + ": " + e.Why }

// checkFile returns an error if a file cannot be a definition of this user.
func checkFile(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a regular file", path)
	}
	if info.Size() > largest {
		return fmt.Errorf("%s: larger than 1 MiB", path)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if owner != 0 && int(owner) != os.Geteuid() {
		return &WritableError{Path: path, Why: fmt.Sprintf("belongs to user %d: must be your own or root's", owner)}
	}
	if who := writers(info); who != "" {
		return &WritableError{Path: path, Chmod: true, Own: int(owner) == os.Geteuid(),
			Why: fmt.Sprintf("mode %#o: %s can write it, and so choose which of your files the VM reads", info.Mode().Perm(), who)}
	}
	return nil
}

// checkAbove checks that only the user and root decide which file a path leads to. It follows the path from the root
// directory, as the kernel does, and checks each directory and each symbolic link. sshd's StrictModes starts at the
// home directory, since the directories above it belong to root on every host; a definition can be elsewhere.
func checkAbove(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	at, rest := "/", strings.Split(path, "/")
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		if err := checkDir(at, len(rest) == 0); err != nil {
			return err
		}
		next := filepath.Join(at, name)
		target, err := checkLink(next)
		if err != nil {
			return err
		}
		if target == "" {
			at = next
			continue
		}
		const mostLinks = 40 // the kernel's limit, path_resolution(7)
		if links++; links > mostLinks {
			return &fs.PathError{Op: "open", Path: path, Err: syscall.ELOOP}
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return nil
}

// checkLink returns the target of a path that is a symbolic link, which must belong to the user or root.
func checkLink(path string) (target string, err error) {
	info, err := os.Lstat(path)
	if err != nil || info.Mode().Type() != fs.ModeSymlink {
		return "", err
	}
	if err := checkOwner(path, info); err != nil {
		return "", err
	}
	return os.Readlink(path)
}

// checkDir checks that only the user and root can replace the entries of a directory. In a sticky directory users can
// replace only their own entries, and each entry is checked separately.
func checkDir(dir string, last bool) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if err := checkOwner(dir, info); err != nil {
		return err
	}
	who := writers(info)
	if who == "" || info.Mode()&fs.ModeSticky != 0 {
		return nil
	}
	where := "below"
	if last {
		where = "in"
	}
	return &WritableError{Path: dir, Chmod: true, Own: int(info.Sys().(*syscall.Stat_t).Uid) == os.Geteuid(),
		Why: fmt.Sprintf("mode %#o: %s can replace the definitions %s it", info.Mode().Perm(), who, where)}
}

// unmapped is the owner of files whose owner has no mapping in the user namespace (user_namespaces(7)), such as
// root's files in a namespace that an ordinary user created.
const unmapped = 65534

func checkOwner(path string, info fs.FileInfo) error {
	owner := info.Sys().(*syscall.Stat_t).Uid
	if owner == 0 || owner == unmapped || int(owner) == os.Geteuid() {
		return nil
	}
	return &WritableError{Path: path, Why: fmt.Sprintf("belongs to user %d, who can replace the definitions below it", owner)}
}

// writers says who can write a file besides its owner: others, or its group unless that is the owner's private group.
func writers(info fs.FileInfo) string {
	st := info.Sys().(*syscall.Stat_t)
	switch mode := info.Mode().Perm(); {
	case mode&0o002 != 0:
		return "others"
	case mode&0o020 == 0:
		return ""
	}
	passwd, group := accounts("/etc/passwd"), accounts("/etc/group")
	if privateGroup(passwd, group, st.Uid, st.Gid) {
		return ""
	}
	for name, fields := range group {
		if len(fields) > 2 && fields[2] == strconv.Itoa(int(st.Gid)) {
			return "group " + name
		}
	}
	return fmt.Sprintf("group %d", st.Gid)
}

// privateGroup reports whether a group is a user's private group, as on distributions with a umask that lets groups
// write: it has the user's name, it is the primary group of this user only, and it lists no other member. Users and
// groups of a directory server are not known here.
func privateGroup(passwd, group map[string][]string, uid, gid uint32) bool {
	const theUID, theGID, members = 2, 3, 3
	mine := false
	for name, user := range passwd {
		if len(user) <= theGID || user[theGID] != strconv.Itoa(int(gid)) {
			continue
		}
		own := group[name]
		if user[theUID] != strconv.Itoa(int(uid)) || len(own) <= members || own[2] != user[theGID] || own[members] != "" && own[members] != name {
			return false
		}
		mine = true
	}
	return mine
}

// accounts returns the lines of /etc/passwd or /etc/group by their first field (passwd(5), group(5)); it is empty if
// the file cannot be read.
func accounts(file string) map[string][]string {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, largest+1))
	if err != nil || len(data) > largest {
		return nil
	}
	return parseAccounts(data)
}

func parseAccounts(data []byte) map[string][]string {
	lines := map[string][]string{}
	for line := range bytes.Lines(data) {
		fields := strings.Split(strings.TrimSuffix(string(line), "\n"), ":")
		if _, twice := lines[fields[0]]; !twice { // as in getpwnam(3), the first one counts
			lines[fields[0]] = fields
		}
	}
	return lines
}
