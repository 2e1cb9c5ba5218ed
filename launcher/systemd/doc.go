// Package systemd runs VMs as services of their user's systemd. It has the template qlaunch@.service, asks the user
// manager for the state of a unit, and starts and stops units.
//
// It uses systemctl(1), which talks to the user manager without a message bus and is installed wherever a user
// manager is. The main process of a unit is QEMU itself: the process that started QEMU reports QEMU's process ID
// (sd_notify(3), MAINPID=) and exits, so a VM that runs as a service needs no process besides QEMU.
package systemd
