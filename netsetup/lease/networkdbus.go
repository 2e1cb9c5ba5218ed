package lease

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// Before systemd 256 networkd's DHCP server writes its leases to no file. Any user can query them over D-Bus:
// property Leases of org.freedesktop.network1.DHCPServer, org.freedesktop.network1(5).
const (
	networkdName   = "org.freedesktop.network1"
	dhcpServerFace = networkdName + ".DHCPServer"
	propertiesFace = "org.freedesktop.DBus.Properties"
)

// busDeadline is the timeout of a query to networkd: the bus replies within milliseconds.
const busDeadline = time.Second

// mostBusLeases limits the leases in a reply; a subnet of networkd has no more addresses.
const mostBusLeases = 1 << 16

var errInFile = errors.New("its leases are in a file")

// busLease is a lease as networkd sends it over D-Bus, of the type (uayayayayt), in systemd 252 and 257.
type busLease struct {
	Family   uint32
	ClientID []byte
	Address  []byte
	Gateway  []byte // of the relay; zero if there is none
	Hardware []byte // 16 bytes; those after the address are zero
	Expiry   uint64 // microseconds on CLOCK_BOOTTIME; math.MaxUint64 is "never"
}

// parseBusLeases converts networkd's reply to leases. boot is the value of CLOCK_BOOTTIME at the time now.
func parseBusLeases(answer []busLease, now time.Time, boot time.Duration) parsed {
	var p parsed
	if len(answer) > mostBusLeases {
		p.skipped = len(answer) - mostBusLeases
		answer = answer[:mostBusLeases]
	}
	for _, e := range answer {
		if e.Family != unix.AF_INET || len(e.Address) != 4 {
			p.skipped++
			continue
		}
		ip, _ := netip.AddrFromSlice(e.Address)
		l := lease{mac: e.mac(), ip: ip, issue: strconv.FormatUint(e.Expiry, 10)}
		const latest = 1 << 60 // later times mean "never"
		if e.Expiry < latest {
			l.expiry = now.Add(time.Duration(e.Expiry)*time.Microsecond - boot).Truncate(time.Microsecond)
		}
		p.leases = append(p.leases, l)
	}
	return p
}

// mac returns the client's Ethernet address, or nil. The reply does not have its length: if bytes after the sixth are
// set, it is not an Ethernet address. Without one, a client id that begins with 1 contains it after that byte (RFC
// 2132, section 9.14).
func (e busLease) mac() net.HardwareAddr {
	const ether, size = 1, 6
	empty := len(bytes.Trim(e.Hardware, "\x00")) == 0
	switch {
	case !empty && len(e.Hardware) >= size && len(bytes.Trim(e.Hardware[size:], "\x00")) == 0:
		return net.HardwareAddr(e.Hardware[:size])
	case empty && len(e.ClientID) == 1+size && e.ClientID[0] == ether:
		return net.HardwareAddr(e.ClientID[1:])
	}
	return nil
}

// askNetworkd reads the leases of networkd's server on a bridge. It does nothing if networkd does not manage the
// bridge, or if networkd's lease file was read.
func askNetworkd(ctx context.Context, root string, l link, others []reading) reading {
	r := reading{file: file{source: Networkd, path: "networkctl status " + l.name}, now: true}
	switch {
	case !managed(root, l):
		r.err = fs.ErrNotExist
	case hasFile(others):
		r.err = errInFile
	default:
		r.parsed, r.err = networkdLeases(ctx, root, l)
	}
	return r
}

// hasFile reports whether networkd's own lease file was read.
func hasFile(readings []reading) bool {
	for _, r := range readings {
		if r.source == Networkd && r.err == nil {
			return true
		}
	}
	return false
}

// managed reports whether networkd has configured the bridge: it then has a file for the link, which names the
// .network file. Nothing else in that file is used, since its format is private to networkd.
func managed(root string, l link) bool {
	if l.index == 0 {
		return false
	}
	data, _, err := readBounded(filepath.Join(root, "run/systemd/netif/links", strconv.Itoa(l.index)))
	return err == nil && bytes.Contains(data, []byte("\nNETWORK_FILE=/"))
}

// linkPath returns the object path of a link. The first character of an identifier of digits is escaped
// (sd_bus_path_encode(3)).
func linkPath(index int) dbus.ObjectPath {
	digits := strconv.Itoa(index)
	return dbus.ObjectPath(fmt.Sprintf("/org/freedesktop/network1/link/_%x%s", digits[0], digits[1:]))
}

func networkdLeases(ctx context.Context, root string, l link) (parsed, error) {
	ctx, cancel := context.WithTimeout(ctx, busDeadline)
	defer cancel()
	bus, err := connectBus(ctx, root)
	if err != nil {
		return parsed{}, err
	}
	defer bus.Close()
	var value dbus.Variant
	call := bus.Object(networkdName, linkPath(l.index)).CallWithContext(ctx, propertiesFace+".Get", dbus.FlagNoAutoStart, dhcpServerFace, "Leases")
	if err := call.Store(&value); err != nil {
		return parsed{}, busError(err)
	}
	var answer []busLease
	if err := value.Store(&answer); err != nil {
		return parsed{}, fmt.Errorf("leases of the type %s: %w", value.Signature(), err)
	}
	var boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return parsed{}, err
	}
	return parseBusLeases(answer, time.Now(), time.Duration(boot.Nano())), nil
}

// busError returns "absent" if networkd does not run, or has no server on the link.
func busError(err error) error {
	var failed dbus.Error
	if !errors.As(err, &failed) {
		return err
	}
	const names = "org.freedesktop.DBus.Error."
	switch strings.TrimPrefix(failed.Name, names) {
	case "UnknownInterface", "UnknownProperty", "UnknownObject", "UnknownMethod", "ServiceUnknown", "NameHasNoOwner":
		return fs.ErrNotExist
	}
	return err
}

// connectBus connects to the system bus; the connection ends with ctx.
func connectBus(ctx context.Context, root string) (*dbus.Conn, error) {
	var d net.Dialer
	socket, err := d.DialContext(ctx, "unix", filepath.Join(root, "run/dbus/system_bus_socket"))
	if err != nil {
		return nil, err
	}
	bus, err := dbus.NewConn(socket, dbus.WithContext(ctx))
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	// The calls below read from the socket without a context.
	stop := context.AfterFunc(ctx, func() { _ = socket.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := bus.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
		return nil, errors.Join(fmt.Errorf("log in to the system bus: %w", err), bus.Close())
	}
	if err := bus.Hello(); err != nil {
		return nil, errors.Join(fmt.Errorf("greet the system bus: %w", err), bus.Close())
	}
	return bus, nil
}

// busWatch receives changes of networkd's leases on a bridge. The zero value receives none.
type busWatch struct {
	bus     *dbus.Conn
	stop    context.CancelFunc
	changes chan *dbus.Signal // closed when the connection to the bus has ended
}

// watchNetworkd starts to receive changes. If networkd does not manage the bridge, or the bus cannot be used, there
// are none: the leases are then read whenever another source changes.
func watchNetworkd(root string, l link) busWatch {
	if !managed(root, l) {
		return busWatch{}
	}
	ctx, stop := context.WithCancel(context.Background())
	late := time.AfterFunc(busDeadline, stop)
	bus, err := connectBus(ctx, root)
	if err != nil {
		late.Stop()
		stop()
		return busWatch{}
	}
	w := busWatch{bus: bus, stop: stop, changes: make(chan *dbus.Signal, 16)}
	bus.Signal(w.changes)
	err = bus.AddMatchSignalContext(ctx, dbus.WithMatchSender(networkdName), dbus.WithMatchObjectPath(linkPath(l.index)),
		dbus.WithMatchInterface(propertiesFace), dbus.WithMatchMember("PropertiesChanged"), dbus.WithMatchArg(0, dhcpServerFace))
	if !late.Stop() || err != nil {
		w.close()
		return busWatch{}
	}
	return w
}

func (w busWatch) close() {
	if w.bus != nil {
		_ = w.bus.Close()
		w.stop()
	}
}
