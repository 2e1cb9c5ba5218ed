// Package systemd knows VMs as services of their user's systemd: the template
// qlaunch@.service, what the user manager says of one, and what is said to it.
//
// The user manager is asked through systemctl(1), which talks to it without a
// message bus and is there wherever a user manager is. The one surprising
// fact: the main process of a unit is QEMU itself. The process that started it
// says so (sd_notify(3), MAINPID=) and leaves, so a VM that runs as a service
// costs no process beside QEMU.
package systemd
