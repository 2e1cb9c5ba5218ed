package main

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

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/netsetup"
	"github.com/qlaunch/qlaunch/netsetup/leases"
	"github.com/qlaunch/qlaunch/vms"
)

// guest is a VM that runs, and what is needed to wait for it.
type guest struct {
	vm      vms.VM // as it was started
	process *launcher.Process
	queries []leases.Query   // for the NICs that can have its address, in the definition's order
	waiters []*leases.Waiter // one for each of them
	started bool             // by this process
	conn    *net.TCPConn     // to its sshd, after awaitSSH
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

// bringUp makes a VM run, or finds that it does.
func (s *session) bringUp(ctx context.Context, ref string, timeout time.Duration) (*guest, error) {
	return s.claimed(ctx, ref, timeout, s.bringUpLocked)
}

// claimed does a part of a start under the VM's lock, which lets one command at
// a time change that, and is waited for until the timeout.
func (s *session) claimed(ctx context.Context, ref string, timeout time.Duration, do func(context.Context, vms.VM) (*guest, error)) (*guest, error) {
	vm, err := s.load(ref)
	if err == nil {
		vm, err = launcher.Locate(vm, noQEMUs) // who has it already, if somebody has, is looked for under the lock
	}
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	lock, err := launcher.Claim(waiting, vm, launcher.CommandUp)
	if err != nil {
		return nil, err
	}
	var g *guest
	if vm, err = s.load(ref); err == nil { // what was waited for may have been its removal
		g, err = do(ctx, vm)
	}
	return g, errors.Join(err, lock.Release())
}

func noQEMUs() ([]launcher.QEMU, error) { return nil, nil }

func (s *session) bringUpLocked(ctx context.Context, vm vms.VM) (*guest, error) {
	g, err := s.find(vm)
	switch {
	case errors.Is(err, launcher.ErrNotRunning):
		return s.start(ctx, vm)
	case err == nil: // the command that started it may have been killed before it wrote this
		runs := g.vm
		runs.File = vm.File
		s.startedSSHEntry(ctx, runs)
	}
	return g, err
}

// find gives a VM that runs, with the definition that it was started with. The
// error wraps launcher.ErrNotRunning when it may be started.
func (s *session) find(vm vms.VM) (*guest, error) {
	look := sync.OnceValues(s.qemus)
	vm, err := launcher.Locate(vm, look)
	if err != nil {
		return nil, err
	}
	process, err := launcher.Find(vm)
	if errors.Is(err, launcher.ErrNotRunning) {
		return nil, cmp.Or(mayStart(vm, look), err)
	}
	if err != nil {
		return nil, err
	}
	started, err := s.store.Started(vm.Name, vm.RunDir)
	if errors.Is(err, fs.ErrNotExist) {
		started, err = vm, nil // QEMU was started by hand, with the line that argv printed
	}
	if err == nil {
		err = otherFile(vm)
	}
	if err != nil {
		process.Close()
		return nil, err
	}
	return s.watched(&guest{vm: started, process: process}, process.Started)
}

// mayStart finds, for a VM whose QEMU cannot be reached, the one that is there all the same, and one that has its address.
func mayStart(vm vms.VM, look func() ([]launcher.QEMU, error)) error {
	all, err := look()
	if err != nil {
		return err
	}
	return cmp.Or(launcher.NoQEMU(vm, all), launcher.FreeMACs(vm, all))
}

// start takes a VM that does not run from its definition to a running QEMU. All
// that can be found wrong is found before the first tap exists.
func (s *session) start(ctx context.Context, vm vms.VM) (*guest, error) {
	vm, helper, err := s.ready(ctx, vm)
	if err != nil {
		return nil, err
	}
	return s.startReady(ctx, vm, helper)
}

// startReady starts a VM that is as ready left it.
func (s *session) startReady(ctx context.Context, vm vms.VM, helper string) (*guest, error) {
	s.timeline.reach("checks passed")
	if err := launcher.MakeDirs(vm); err != nil { // those of this environment: the VM may have run elsewhere before
		return nil, err
	}
	if err := launcher.Sweep(vm); err != nil {
		return nil, err
	}
	if err := launcher.MakeDisks(ctx, vm, s.showCommand); err != nil {
		return nil, err
	}
	// What the leases say now is what the answer is told from later. The helper is at work meanwhile.
	g := &guest{vm: vm, started: true}
	noted := make(chan error, 1)
	go func() {
		var err error
		g, err = s.watched(g, time.Time{})
		noted <- err
	}()
	taps, err := s.openTaps(ctx, vm, helper)
	defer closeAll(taps)
	if err := cmp.Or(<-noted, err); err != nil {
		g.close()
		return nil, err
	}
	process, err := launcher.Start(ctx, vm, taps, func(argv []string) {
		s.showCommand(argv)
		s.timeline.reach("QEMU is executed")
	})
	if err != nil {
		g.close()
		return nil, &startError{err}
	}
	g.process = process
	s.startedSSHEntry(ctx, vm)
	return g, nil
}

// openTaps gets the taps from the helper. Our copies of them are closed in any case: a tap lives as long as QEMU, and
// no longer.
func (s *session) openTaps(ctx context.Context, vm vms.VM, helper string) ([]*os.File, error) {
	var taps []*os.File
	for _, nic := range bridged(vm) {
		s.showCommand([]string{helper, "--use-vnet", "--br=" + nic.Bridge, "--fd=3"})
		tap, err := netsetup.OpenTap(ctx, helper, nic.Bridge)
		if err != nil {
			closeAll(taps)
			return nil, err
		}
		taps = append(taps, tap.File)
		s.timeline.reach("tap on " + nic.Bridge)
	}
	return taps, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// startError says that QEMU did not come up.
type startError struct{ err error }

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// ready settles what a definition leaves open, the accelerator and the bridges,
// and checks all that a start needs. It changes nothing. helper is the bridge
// helper's path, and empty when no NIC needs one.
func (s *session) ready(ctx context.Context, vm vms.VM) (_ vms.VM, helper string, err error) {
	// The others' definitions may be a thousand: they are read beside the checks.
	clash := make(chan error, 1)
	go func() { clash <- s.store.Clash(vm) }()
	settled, helper, err := s.settle(ctx, vm)
	if err := cmp.Or(<-clash, err); err != nil {
		return vm, "", err
	}
	return settled, helper, nil
}

// settle is ready, but for what other definitions have to do with it.
func (s *session) settle(ctx context.Context, vm vms.VM) (_ vms.VM, helper string, err error) {
	vm, noKVM, err := launcher.ResolveAccel(vm)
	if err != nil {
		return vm, "", err
	}
	if noKVM != nil {
		s.notice("%s: runs under tcg, which is slow: %v", vm.Name, noKVM)
	}
	if err := launcher.Check(vm); err != nil {
		return vm, "", err
	}
	for _, warning := range launcher.Warnings(vm, s.root) {
		s.notice("%s: %v", vm.Name, warning)
	}
	vm.NICs = slices.Clone(vm.NICs) // the caller's are being read
	for i, nic := range vm.NICs {
		if nic.Type != vms.NICBridge {
			continue
		}
		report := netsetup.Check(ctx, netsetup.CheckQuery{Bridge: nic.Bridge, Helper: vm.QEMU.Helper})
		if err := report.Err(); err != nil {
			return vm, "", err
		}
		vm.NICs[i].Bridge, helper = report.Bridge.Name, report.Helper
	}
	return vm, helper, nil
}

// watched gives a guest the waiters for its address, one for each NIC that can have it, unless nobody will wait for that.
func (s *session) watched(g *guest, since time.Time) (*guest, error) {
	if s.unwatched {
		return g, nil
	}
	for _, nic := range addressed(g.vm) {
		q := s.query(g.vm, nic, since)
		waiter, err := leases.NewWaiter(q)
		if err != nil {
			g.close()
			return g, err
		}
		g.queries, g.waiters = append(g.queries, q), append(g.waiters, waiter)
	}
	return g, nil
}

// query asks for the address of a NIC of a VM that was started at a time.
func (s *session) query(vm vms.VM, nic vms.NIC, since time.Time) leases.Query {
	return leases.Query{
		Root: s.root, Bridge: nic.Bridge, MAC: nic.MAC.HardwareAddr(), Since: since, Kin: macsOn(vm, nic.Bridge),
		Server: func() string { return s.serverLeases(nic.Bridge) },
	}
}

// serverLeases is the file in which a dnsmasq that serves a bridge was told to keep its leases.
func (s *session) serverLeases(bridge string) string {
	server := netsetup.DHCPServer(s.root, bridge)
	if server.PID == 0 || server.Kind == netsetup.ServerLibvirt { // libvirt's form is another, and its place known
		return ""
	}
	return server.Leases
}

// addressed are the NICs whose address can be the guest's: the bridged ones, or the one of them that [ssh] nic names.
func addressed(vm vms.VM) []vms.NIC {
	return slices.DeleteFunc(bridged(vm), func(nic vms.NIC) bool { return !hasAddress(vm, nic) })
}

// hasAddress says whether a bridged NIC's address can be the guest's. Where ssh goes by a forward, any can.
func hasAddress(vm vms.VM, nic vms.NIC) bool { return vm.SSH.NIC.Takes(nic) || byForward(vm) }

// byForward says whether [ssh] nic names a NIC of type user, by whose forward ssh goes then.
func byForward(vm vms.VM) bool {
	return vm.SSH.NIC != vms.AnyNIC && slices.ContainsFunc(vm.NICs, func(nic vms.NIC) bool { return nic.Type == vms.NICUser && vm.SSH.NIC.Takes(nic) })
}

// bridged are the NICs that have an address to be found.
func bridged(vm vms.VM) []vms.NIC {
	var nics []vms.NIC
	for _, nic := range vm.NICs {
		if nic.Type == vms.NICBridge {
			nics = append(nics, nic)
		}
	}
	return nics
}
