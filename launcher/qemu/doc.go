// Package qemu makes a process out of a VM's definition, finds it again and ends it.
//
// Nothing of a VM's state is stored. QEMU locks its pid file for as long as it
// lives (fcntl(2), F_SETLK in QEMU's util/oslib-posix.c), so whether a VM runs
// is asked of the kernel; what it does is asked of QEMU over QMP. What stands
// in the run directory beside the lock may be stale and is believed only while
// the lock is held.
//
// QEMU's own -daemonize is no help: under the sandbox that QEMU gets here, the
// fork that it needs is denied. A session of its own (setsid(2)) does the same,
// and leaves QEMU as the VM's only process.
package qemu
