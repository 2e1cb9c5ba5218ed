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

// maxFile bounds what is read of a lease file, in bytes. A lease takes some 100 of them in text, 300 in JSON.
const maxFile = 4 << 20

// A file is a place where a DHCP server keeps its leases.
type file struct {
	source Source
	path   string
	parse  func([]byte) (parsed, error)
}

// A reading is what a file held at one time.
type reading struct {
	file
	parsed
	modified time.Time
	now      bool  // it is no file: the server was asked, and what it said is of now
	err      error // why it could not be read
}

// files are the places where the servers on a bridge may keep their leases, in the order of the reports. Debian's
// dnsmasq and Fedora's differ in the directory; libvirt, networkd and NetworkManager name the file after the bridge.
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

// serverFile is the file in which a server was told to keep its leases, unless it is one of those that are read already.
func serverFile(root, path string, read []reading) (file, bool) {
	f := file{Dnsmasq, filepath.Join(root, path), parseDnsmasq}
	known := slices.ContainsFunc(read, func(r reading) bool { return r.path == f.path })
	return f, filepath.IsAbs(path) && !known
}

// read reads the file as it is now.
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

// readBounded reads a regular file of at most maxFile bytes. It never blocks on what is not one, such as a FIFO.
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

// reason is the cause of a read's error without the path, which stands beside it.
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
