package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Names of the two ends of the cable between the outside world and the host.
const (
	outsideNIC = "outside"
	hostNIC    = "up0"
)

// outside makes this network namespace the outside world; what it has to say
// goes to log.
func outside(log io.Writer) error {
	if err := plug(); err != nil {
		return fmt.Errorf("cable: %w", err)
	}
	if err := serveNames(log); err != nil {
		return fmt.Errorf("name server: %w", err)
	}
	return serveWeb()
}

// plug gives this end of the cable its address whenever one is laid:
// systemd-nspawn lays a new one at each boot of the host.
func plug() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	links := make(chan netlink.LinkUpdate)
	if err := netlink.LinkSubscribe(links, nil); err != nil {
		return err
	}
	go func() { // ends with the process
		for update := range links {
			if update.Header.Type == unix.RTM_NEWLINK && update.Attrs().Name == outsideNIC {
				address(update.Link)
			}
		}
	}()
	return nil
}

// address gives the link its address. An error is the link's end, which it
// would have to be told of by the next update anyway.
func address(link netlink.Link) {
	mask := net.CIDRMask(24, 32)
	_ = netlink.AddrReplace(link, &netlink.Addr{IPNet: &net.IPNet{IP: net.ParseIP(OutsideAddr), Mask: mask}})
	_ = netlink.LinkSetUp(link)
}

// serveNames starts dnsmasq as a name server, and returns when it serves.
func serveNames(log io.Writer) error {
	// It ends with the keeper's namespaces.
	cmd := exec.CommandContext(context.Background(), "/usr/sbin/dnsmasq", "--no-daemon", "--conf-file=/dev/null",
		"--no-resolv", "--no-hosts", "--user=root", "--local=/"+OutsideName+"/", "--host-record="+OutsideName+","+OutsideAddr)
	output, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%w (package dnsmasq-base)", err)
	}
	said := "no word"
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if said = lines.Text(); strings.Contains(said, "started, version") {
			go func() { _, _ = io.Copy(log, output) }() // ends with dnsmasq
			return nil
		}
	}
	return errors.New(said)
}

// serveWeb answers each request with the address that it comes from.
func serveWeb() error {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp4", ":80")
	if err != nil {
		return err
	}
	server := http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			from, _, _ := net.SplitHostPort(r.RemoteAddr)
			_, _ = fmt.Fprintln(w, from)
		}),
	}
	go func() { _ = server.Serve(listener) }() // ends with the process
	return nil
}
