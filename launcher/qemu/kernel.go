package qemu

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// CompressedError says that a kernel image is compressed in a way that QEMU does not unpack. A bzImage is not such a
// file: it unpacks itself.
type CompressedError struct {
	Path    string
	Program string // which unpacks it: "gzip", "xz" …
}

// Error names the program's format.
func (e *CompressedError) Error() string {
	return fmt.Sprintf("compressed with %s, which QEMU does not unpack", e.Program)
}

// checkCompression tells a compressed kernel by its first bytes. On x86_64 QEMU takes it for a kernel of the protocol
// before 2.00 (hw/i386/x86.c) and says so, or that it is too old for an initrd; on aarch64 it unpacks gzip alone (hw/arm/boot.c).
func checkCompression(arch, path string) error {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return cause(err)
	}
	defer f.Close()
	head := make([]byte, 6)
	n, _ := io.ReadFull(f, head)
	for _, format := range []struct{ program, magic string }{
		{"gzip", "\x1f\x8b"}, {"xz", "\xfd7zXZ\x00"}, {"zstd", "\x28\xb5\x2f\xfd"}, {"bzip2", "BZh"}, {"lz4", "\x02\x21\x4c\x18"}, {"lz4", "\x04\x22\x4d\x18"},
	} {
		if bytes.HasPrefix(head[:n], []byte(format.magic)) && (arch != "aarch64" || format.program != "gzip") {
			return &CompressedError{Path: path, Program: format.program}
		}
	}
	return nil
}
