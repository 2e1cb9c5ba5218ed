package vms

import (
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Start is the content of a new definition. Zero values get the default.
type Start struct {
	Memory   Size
	CPUs     int
	Image    string     // absolute path of an existing disk
	Format   DiskFormat // of the image; qcow2 when empty
	DiskSize Size       // of a disk that a start is to create
	Bridge   string
	User     string // for ssh
}

// Template returns the text of a new definition: short, with a comment on each key that a user is likely to change.
// It does not check start; call [Parse] on the text before you save it.
func Template(name string, start Start) []byte {
	var b strings.Builder
	line := func(set bool, key, value, comment string) {
		mark := "# "
		if set {
			mark = ""
		}
		fmt.Fprintf(&b, "%-34s # %s\n", mark+key+" = "+value, comment)
	}
	fmt.Fprintf(&b, "# %s, a virtual machine of qlaunch.\n", name)
	fmt.Fprintf(&b, "# A line that begins with # shows another choice. Every key: https://github.com/qlaunch/qlaunch/blob/main/docs/config.md\n\n")
	line(true, "memory", quote(cmp.Or(start.Memory, 2*GiB).String()), "KiB, MiB, GiB or TiB")
	line(true, "cpus", fmt.Sprint(cmp.Or(start.CPUs, 2)), "virtual processors")
	line(false, "accel", `"auto"`, "KVM, and where it is missing TCG, which is slow")
	line(false, "firmware", `"uefi"`, "the default is bios")

	b.WriteString("\n[[disk]]\n")
	if start.Image != "" {
		line(true, "path", quote(start.Image), "the guest writes to it: for one VM at a time")
	} else {
		line(false, "path", `"~/vms/debian.qcow2"`, "a disk that you have; left out: one of the VM's own")
	}
	line(true, "format", quote(string(cmp.Or(start.Format, QCOW2))), "qcow2 or raw; a start never guesses it")
	if start.Image == "" || start.DiskSize > 0 {
		line(true, "size", quote(cmp.Or(start.DiskSize, 20*GiB).String()), "made with this size, or grown to it")
	}

	b.WriteString("\n[[nic]]\n")
	line(true, "type", `"bridge"`, "bridge, user or none")
	line(start.Bridge != "", "bridge", quote(cmp.Or(start.Bridge, "virbr0")), "left out: the first that is up and allowed")

	b.WriteString("\n[ssh]\n")
	line(start.User != "", "user", quote(cmp.Or(start.User, "debian")), "whom qlaunch ssh logs in as")
	line(false, "identity", `"~/.ssh/id_ed25519"`, "left out: ssh's own choice")
	return []byte(b.String())
}

// quote returns a text as a basic string of TOML, whatever it contains.
func quote(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		_, hidden := invisible(string(r))
		switch {
		case hidden:
			fmt.Fprintf(&b, `\U%08x`, r)
		case r == '"' || r == '\\':
			b.WriteString(`\` + text[:n])
		default: // a byte that is not UTF-8 is kept, so that the parser reports it
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	b.WriteByte('"')
	return b.String()
}
