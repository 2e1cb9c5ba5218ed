package netsetup

import "strings"

// A helperMessage is a line of the helper's on stderr and the cause that it stands for. The texts are those of
// QEMU 7.2; the errno texts are libc's in the C locale, which an empty environment selects.
type helperMessage struct {
	begins, ends string
	cause        error
}

// helperMessages are all that the helper says with a cause of its own, in the order in which it can say them.
// Three of them have several causes: [explain] looks at the host to tell those apart.
func helperMessages() []helperMessage {
	return []helperMessage{
		{"failed to parse default acl file `", "'", ErrACLSyntax},
		{"access denied by acl file", "", ErrDenied},
		{"failed to open /dev/net/tun: ", "Permission denied", ErrTunPermission},
		{"failed to open /dev/net/tun: ", "Operation not permitted", ErrTunPermission},
		{"failed to open /dev/net/tun: ", "No such file or directory", ErrNoTun},
		{"failed to open /dev/net/tun: ", "No such device", ErrNoTun},
		{"failed to open /dev/net/tun: ", "No such device or address", ErrNoTun},
		{"failed to create tun device: ", "Operation not permitted", ErrHelperNotSetuid},
		{"failed to get mtu of bridge `", "': No such device", ErrNoBridge},
		{"failed to add interface `", "': Operation not supported", ErrNotBridge},
	}
}

// causeOf is the cause that the helper's stderr tells, [ErrHelperFailed] for words that are not known.
func causeOf(stderr string) error {
	for line := range strings.Lines(stderr) {
		line = strings.TrimSpace(line)
		for _, s := range helperMessages() {
			if strings.HasPrefix(line, s.begins) && strings.HasSuffix(line, s.ends) {
				return s.cause
			}
		}
	}
	return ErrHelperFailed
}

// aclNamed is the ACL file that the helper says it could not parse, or the default one.
func aclNamed(stderr string) string {
	_, after, ok := strings.Cut(stderr, "failed to parse default acl file `")
	path, _, closed := strings.Cut(after, "'\n")
	if !ok || !closed || !strings.HasPrefix(path, "/") {
		return DefaultACL
	}
	return path
}

// oneLine is the helper's text as one line: line ends become "; ". It is as foreign as it was, and not fit for a
// terminal.
func oneLine(text string) string {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "; ")
}
