package qemu

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// CompressedError says that a kernel image is compressed in a way that QEMU does not decompress. A bzImage is not
// such a file: it decompresses itself.
type CompressedError struct {
	Path    string
	Program string // the program that decompresses it: "gzip", "xz" …
}

// Error returns the program's format.
func (e *CompressedError) Error() string {
	return fmt.Sprintf("compressed with %s, which QEMU does not unpack", e.Program)
}

// checkCompression recognises a compressed kernel by its first bytes. On x86_64 QEMU takes it for a kernel with a
// boot protocol before 2.00 (hw/i386/x86.c), and its error says so, or that the kernel is too old for an initrd; on
// aarch64 it decompresses only gzip (hw/arm/boot.c).
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
