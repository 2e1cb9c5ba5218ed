// Package crash kills qlaunch and QEMU where it hurts, and lets many qlaunches
// loose on the same VMs. Whatever happens, status tells the truth, up works
// without repair by hand, and nothing is left behind that nobody owns.
package crash
