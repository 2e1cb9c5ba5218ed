package lease

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// maxFile is the maximal size of a lease file, in bytes. A lease takes some 100 bytes as text, 300 as JSON.
const maxFile = 4 << 20

// file is a lease file of a DHCP server.
type file struct {
	source Source
	path   string
	parse  func([]byte) (parsed, error)
}

// reading is the content of a file at one time.
type reading struct {
	file
	parsed
	modified time.Time
	now      bool  // not a file, but the server's own reply
	err      error // why it could not be read
}

// files returns the places where the servers on a bridge may keep their leases, in the order of the reports. Debian's
// and Fedora's dnsmasq use different directories; libvirt, networkd and NetworkManager name the file after the
// bridge.
func files(root, bridge string) []file {
	at := func(dir, name string) string { return filepath.Join(root, dir, name) }
	return []file{
		{Dnsmasq, at("var/lib/misc", "dnsmasq.leases"), parseDnsmasq},
		{Dnsmasq, at("var/lib/dnsmasq", "dnsmasq.leases"), parseDnsmasq},
		{Dnsmasq, at("var/lib/qlaunch", bridge+".leases"), parseDnsmasq}, // the server that `net setup` installs
		{Libvirt, at("var/lib/libvirt/dnsmasq", bridge+".status"), parseLibvirt},
		{Networkd, at("var/lib/systemd/network/dhcp-server-lease", bridge), parseNetworkd},
		{Networkd, at("run/systemd/netif/dhcp-server-lease", bridge), parseNetworkd},
		{NetworkManager, at("var/lib/NetworkManager", "dnsmasq-"+bridge+".leases"), parseDnsmasq}, // it runs dnsmasq
	}
}

// serverFile returns the lease file that a server was configured to use, unless it is one of those that were read.
func serverFile(root, path string, read []reading) (file, bool) {
	f := file{Dnsmasq, filepath.Join(root, path), parseDnsmasq}
	known := slices.ContainsFunc(read, func(r reading) bool { return r.path == f.path })
	return f, filepath.IsAbs(path) && !known
}

// read reads and parses the file.
func (f file) read(ctx context.Context) reading {
	r := reading{file: f}
	if r.err = context.Cause(ctx); r.err != nil {
		return r
	}
	data, modified, err := readBounded(f.path)
	if err != nil {
		r.err = err
		return r
	}
	r.modified = modified
	r.parsed, r.err = f.parse(data)
	return r
}

// readBounded reads a regular file of at most maxFile bytes. It never blocks on other files, such as a FIFO.
func readBounded(path string) ([]byte, time.Time, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	if !info.Mode().IsRegular() {
		return nil, time.Time{}, errors.New("not a regular file")
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("larger than %d MiB", maxFile>>20)
	}
	return data, info.ModTime(), err
}

// reason returns the cause of a read error without the path, which the report has.
func reason(err error) string {
	var pathErr *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "absent"
	case errors.As(err, &pathErr):
		return pathErr.Err.Error()
	}
	return err.Error()
}
