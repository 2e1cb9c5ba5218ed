package launcher

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/netsetup/lease"
	"github.com/qlaunch/qlaunch/vms"
)

// start is a request to start one VM.
type start struct {
	ref      string             // the VM, as the caller named it
	lockWait time.Duration      // how long to wait for another command that holds the VM's lock
	reached  func(point string) // called at each point of the start
	watch    bool               // the caller will wait for the address, so watch the leases from before the start
}

// guest is a running VM with what is needed to wait for it.
type guest struct {
	running                 // without a process until systemd has started it
	queries []lease.Query   // for the NICs that can have the guest's address, in the definition's order
	waiters []*lease.Waiter // one for each query
	started bool            // by this process
	conn    *net.TCPConn    // to its sshd, after awaitSSH
}

func (g *guest) close() {
	if g.process != nil {
		g.process.Close()
	}
	for _, w := range g.waiters {
		_ = w.Close()
	}
	if g.conn != nil {
		_ = g.conn.Close()
	}
}

// startOrAttach starts a VM in this process's own cgroup, unless it runs already.
func startOrAttach(ctx context.Context, e *Env, s start, located vms.VM) (g *guest, err error) {
	vm, lock, err := lockForStart(ctx, e, s, located)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	g, err = attach(e, s, vm)
	switch {
	case err == nil: // the command that started it may have been killed before it wrote this
		runs := g.vm
		runs.File = vm.File
		refreshSSHEntry(ctx, e, runs)
		return g, nil
	case !errors.Is(err, qemu.ErrNotRunning):
		return nil, err
	}
	ready, err := checkStart(ctx, e, vm)
	if err != nil {
		return nil, err
	}
	g, taps, err := prepare(ctx, e, s, ready)
	if err != nil {
		return nil, err
	}
	defer closeAll(taps)
	if g, err = g.runs(qemu.Start(ctx, ready, taps, s.executes(e))); err == nil {
		refreshSSHEntry(ctx, e, g.vm)
	}
	return g, err
}

// lockForStart takes the lock of a VM for a start, and reads the definition again: while it waited for the lock, the
// VM may have been removed.
func lockForStart(ctx context.Context, e *Env, s start, located vms.VM) (vms.VM, *qemu.Lock, error) {
	waiting, cancel := context.WithTimeout(ctx, s.lockWait)
	defer cancel()
	lock, err := qemu.MakeAndAcquire(waiting, located, qemu.CommandUp)
	if err != nil {
		return vms.VM{}, nil, err
	}
	vm, err := Load(e, s.ref)
	if err != nil {
		return vms.VM{}, nil, errors.Join(err, lock.Release())
	}
	return vm, lock, nil
}

// attach returns a running VM, with the definition that it was started with. The error wraps qemu.ErrNotRunning if
// the VM may be started.
func attach(e *Env, s start, vm vms.VM) (*guest, error) {
	qemus := sync.OnceValues(e.QEMUs)
	vm, err := qemu.Locate(vm, qemus)
	if err != nil {
		return nil, err
	}
	process, err := qemu.Find(vm)
	if errors.Is(err, qemu.ErrNotRunning) {
		return nil, cmp.Or(mayStart(vm, qemus), err)
	}
	if err != nil {
		return nil, err
	}
	startedAs, err := e.Store.Started(vm.Name, vm.RunDir)
	if errors.Is(err, fs.ErrNotExist) {
		startedAs, err = vm, nil // QEMU was started by hand, with the command line that argv printed
	}
	if err == nil {
		err = checkOrigin(vm)
	}
	if err != nil {
		process.Close()
		return nil, err
	}
	return withWaiters(e, s, &guest{running: running{startedAs, process}}, process.Started)
}

// mayStart refuses a start while a QEMU of the VM runs that cannot be reached, or while another QEMU has the VM's
// MAC.
func mayStart(vm vms.VM, qemus func() ([]qemu.QEMU, error)) error {
	all, err := qemus()
	if err != nil {
		return err
	}
	return cmp.Or(qemu.NoQEMU(vm, all), qemu.FreeMACs(vm, all))
}

// prepare creates what a QEMU needs and does not exist yet: directories, disks and a tap for each bridged NIC. The
// caller must close the taps, which are this process's copies: a tap exists as long as a process has it open, so that
// it ends with its QEMU.
func prepare(ctx context.Context, e *Env, s start, vm qemu.Resolved) (*guest, []*os.File, error) {
	s.reached("checks passed")
	if err := qemu.MakeDirs(vm.VM); err != nil { // in this environment: the VM may have run in another before
		return nil, nil, err
	}
	if err := qemu.Sweep(vm.VM); err != nil {
		return nil, nil, err
	}
	if err := qemu.MakeDisks(ctx, vm.VM, e.command); err != nil {
		return nil, nil, err
	}
	// The waiters record the leases from before the start, while the helper runs: later changes are those of the
	// guest.
	g := &guest{running: running{vm: vm.VM}, started: true}
	noted := make(chan error, 1)
	go func() {
		var err error
		g, err = withWaiters(e, s, g, time.Time{})
		noted <- err
	}()
	taps, err := openTaps(ctx, e, s, vm)
	if err := cmp.Or(<-noted, err); err != nil {
		closeAll(taps)
		g.close()
		return nil, nil, err
	}
	return g, taps, nil
}

// executes returns a function that reports the command line of QEMU just before it is executed.
func (s start) executes(e *Env) func(argv []string) {
	return func(argv []string) {
		e.command(argv)
		s.reached("QEMU is executed")
	}
}

// runs sets the process that qemu.Start returned.
func (g *guest) runs(process *qemu.Process, err error) (*guest, error) {
	if err != nil {
		g.close()
		return nil, &StartError{err}
	}
	g.process = process
	return g, nil
}

// openTaps runs the bridge helper for each bridged NIC, in the definition's order, and returns the taps.
func openTaps(ctx context.Context, e *Env, s start, vm qemu.Resolved) ([]*os.File, error) {
	var taps []*os.File
	for _, nic := range bridged(vm.VM) {
		e.command([]string{vm.Helper, "--use-vnet", "--br=" + nic.Bridge, "--fd=3"})
		tap, err := netsetup.OpenTap(ctx, vm.Helper, nic.Bridge)
		if err != nil {
			closeAll(taps)
			return nil, err
		}
		taps = append(taps, tap.File)
		s.reached("tap on " + nic.Bridge)
	}
	return taps, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// StartError says that QEMU did not start.
type StartError struct{ Err error }

func (e *StartError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *StartError) Unwrap() error { return e.Err }

// checkStart resolves what the definition of a VM leaves open, and checks everything that a start needs. It changes
// nothing.
func checkStart(ctx context.Context, e *Env, vm vms.VM) (qemu.Resolved, error) {
	// There may be a thousand other definitions, so they are read concurrently with the checks.
	clash := make(chan error, 1)
	go func() { clash <- e.Store.Clash(vm) }()
	resolved, err := resolve(ctx, e, vm)
	return resolved, cmp.Or(<-clash, err)
}

// resolve is checkStart without the check of the other definitions.
func resolve(ctx context.Context, e *Env, vm vms.VM) (qemu.Resolved, error) {
	vm, noKVM, err := qemu.ResolveAccel(vm)
	if err != nil {
		return qemu.Resolved{}, err
	}
	if noKVM != nil {
		e.notice("%s: runs under tcg, which is slow: %v", vm.Name, noKVM)
	}
	if err := qemu.Check(vm); err != nil {
		return qemu.Resolved{}, err
	}
	for _, warning := range qemu.Warnings(vm, e.Root) {
		e.notice("%s: %v", vm.Name, warning)
	}
	vm.NICs = slices.Clone(vm.NICs) // the caller's slice is in use by another goroutine
	resolved := qemu.Resolved{VM: vm}
	for i, nic := range vm.NICs {
		if nic.Type != vms.NICBridge {
			continue
		}
		report := netsetup.Check(ctx, netsetup.CheckQuery{Bridge: nic.Bridge, Helper: vm.QEMU.Helper})
		if err := report.Err(); err != nil {
			return qemu.Resolved{}, err
		}
		vm.NICs[i].Bridge, resolved.Helper = report.Bridge.Name, report.Helper
	}
	return resolved, nil
}

// withWaiters adds the waiters for the guest's address, one for each NIC that can have it, unless nobody will wait.
func withWaiters(e *Env, s start, g *guest, since time.Time) (*guest, error) {
	if !s.watch {
		return g, nil
	}
	for _, nic := range addressed(g.vm) {
		q := leaseQuery(e, g.vm, nic, since)
		waiter, err := lease.NewWaiter(q)
		if err != nil {
			g.close()
			return g, err
		}
		g.queries, g.waiters = append(g.queries, q), append(g.waiters, waiter)
	}
	return g, nil
}

// hold returns a running VM, ready to be waited for.
func hold(e *Env, vm vms.VM) (*guest, error) {
	process, err := findProcess(vm)
	if err != nil {
		return nil, err
	}
	return withWaiters(e, start{watch: true}, &guest{running: running{vm, process}}, process.Started)
}

// leaseQuery returns the query for the address of a NIC of a VM that was started at since.
func leaseQuery(e *Env, vm vms.VM, nic vms.NIC, since time.Time) lease.Query {
	return lease.Query{
		Root: e.Root, Bridge: nic.Bridge, MAC: nic.MAC.HardwareAddr(), Since: since, OtherMACs: macsOn(vm, nic.Bridge),
		Server: func() string { return serverLeases(e, nic.Bridge) },
	}
}

// serverLeases returns the lease file that a dnsmasq which serves the bridge was configured to use.
func serverLeases(e *Env, bridge string) string {
	server := netsetup.DHCPServer(e.Root, bridge)
	if server.PID == 0 || server.Kind == netsetup.ServerLibvirt { // libvirt's file has another format, and a known place
		return ""
	}
	return server.Leases
}

// addressed returns the NICs whose address can be the guest's: the bridged ones, or the one of them that [ssh] nic
// names.
func addressed(vm vms.VM) []vms.NIC {
	return slices.DeleteFunc(bridged(vm), func(nic vms.NIC) bool { return !hasAddress(vm, nic) })
}

// hasAddress reports whether a bridged NIC's address can be the guest's. If ssh uses a forward, any can.
func hasAddress(vm vms.VM, nic vms.NIC) bool { return vm.SSH.NIC.Takes(nic) || byForward(vm) }

// byForward reports whether [ssh] nic names a NIC of type user, whose forward ssh then uses.
func byForward(vm vms.VM) bool {
	return vm.SSH.NIC != vms.AnyNIC && slices.ContainsFunc(vm.NICs, func(nic vms.NIC) bool {
		return nic.Type == vms.NICUser && vm.SSH.NIC.Takes(nic)
	})
}

// macsOn returns the MACs of a VM's NICs on a bridge.
func macsOn(vm vms.VM, bridge string) []net.HardwareAddr {
	var macs []net.HardwareAddr
	for _, nic := range bridged(vm) {
		if nic.Bridge == bridge {
			macs = append(macs, nic.MAC.HardwareAddr())
		}
	}
	return macs
}
