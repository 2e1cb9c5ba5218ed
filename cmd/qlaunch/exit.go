package main

// The exit codes. They are a contract: scripts depend on them.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2 // the command line or a definition is wrong
	exitNotRunning  = 3
	exitNoVM        = 4
	exitHost        = 5 // the host is not ready: bridge, ACL, helper, KVM
	exitQEMU        = 6 // QEMU did not start
	exitBusy        = 7 // another command, or another VM, has it
	exitDeadline    = 124
	exitNoProgram   = 127 // exec's program is not in the guest: as a shell has it
	exitInterrupted = 130
)

// exitCodes is the table as `qlaunch --help` shows it.
const exitCodes = `Exit codes: 0 ok, 1 failed, 2 usage or config, 3 not running, 4 no such VM,
5 host not ready (bridge, ACL, helper, KVM), 6 QEMU failed to start, 7 busy or
taken by another VM, 124 deadline passed, 130 interrupted. ssh, cp and exec
pass on the exit code of what they run: 255 from ssh or cp, that its connection
failed or its VM ended; 127 from exec, that there is no such program.`
