// Package qemu starts a QEMU process from a VM's definition, finds it again and ends it.
//
// No state of a VM is stored. QEMU locks its pid file as long as it lives (fcntl(2), F_SETLK in QEMU's
// util/oslib-posix.c), so the kernel knows whether a VM runs; QEMU reports over QMP what it does. Other files in the
// run directory may be stale and are used only while the lock is held.
//
// QEMU's own -daemonize cannot be used: it forks, which QEMU's sandbox denies. Starting QEMU in a session of its own
// (setsid(2)) has the same effect, and leaves QEMU as the VM's only process.
package qemu
