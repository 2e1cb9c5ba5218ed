// Package fakeqemu stands in for QEMU where a test starts and ends hundreds, or
// one that misbehaves: it is there within milliseconds. It does with its pid
// file, its monitor and its end what QEMU does. On its command line, in the
// definition's [qemu] args, it knows beside QEMU's own words
//
//	-fake MANNERS      in what it differs: see below
//	-fake-watch DIR    it watches over what must never be: DIR has a lock for each VM, and becomes a mark,
//	                   NAME.marks, when another QEMU of the same VM has that lock, or a disk is gone at the end
//	-fake-late D       what it needs from its start to the lock on its pid file
//
// Manners are words with commas between them. At the start:
//
//	exits-0, exits-3, killed, has-no-spice   its end, with its words
//	tells                                    writes what it inherited to its log, and ends
//
// On its monitor:
//
//	silent, silent-later                     does not greet; greets the first client alone
//	babbles, hangs-up, old                   is no QMP; ends behind the greeting; is QEMU 7.1
//	floods                                   has a thousand events before each reply
//	hostile                                  refuses query-error and answers query-name with escapes, ends at query-gone
//	paused                                   its disk is full
//	deaf-to-button, deaf-to-quit, deaf-to-term
//	marks, obeys                             the file "button" beside its pid file becomes a mark of the power button; and it ends
//
// As a guest:
//
//	ssh, echoes                              has an sshd at the host's end of the first forward; which gives back what it gets
//	agent                                    has a guest agent, which runs nothing of what it is told to run
//	agent-is-mute, agent-floods, agent-refuses, agent-shuts-down
package fakeqemu
