package launcher

import (
	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/netsetup/lease"
	"github.com/qlaunch/qlaunch/qmp/agent"
)

// This file names the failures that come from the packages below, so that a caller needs this package alone to tell
// them apart: the Err… by errors.Is, the …Error by errors.As. The documentation of each is at its origin.

// Failures by what the VM, or another command, does at the moment.
var (
	ErrNotRunning   = qemu.ErrNotRunning
	ErrRunning      = qemu.ErrRunning
	ErrBusy         = qemu.ErrBusy
	ErrConsoleTaken = qemu.ErrConsoleTaken
	ErrAgentTaken   = qemu.ErrAgentTaken
	ErrAgentSilent  = agent.ErrSilent
	ErrNoProgram    = agent.ErrNoProgram
)

// StrangerError and the next ones say what the VM, or another process, does at the moment.
type (
	StrangerError = qemu.StrangerError
	OrphanError   = qemu.OrphanError
	OpenError     = qemu.OpenError
	MACError      = qemu.MACError
	PausedError   = qemu.PausedError
)

// What a start needs of the host.
var (
	ErrNoKVM        = qemu.ErrNoKVM
	ErrKVMDenied    = qemu.ErrKVMDenied
	ErrNoVhost      = qemu.ErrNoVhost
	ErrVhostDenied  = qemu.ErrVhostDenied
	ErrNoUEFI       = qemu.ErrNoUEFI
	ErrNoSpice      = qemu.ErrNoSpice
	ErrNoLinger     = qemu.ErrNoLinger
	ErrLittleMemory = qemu.ErrLittleMemory
)

// NoQEMUError and the next ones say what a start needs of the host.
type (
	NoQEMUError     = qemu.NoQEMUError
	OldQEMUError    = qemu.OldQEMUError
	KVMError        = qemu.KVMError
	VhostError      = qemu.VhostError
	SpaceError      = qemu.SpaceError
	NotPrivateError = qemu.NotPrivateError
	RunDirError     = qemu.RunDirError
)

// What is wrong with a file that a definition names.
var (
	ErrFile         = qemu.ErrFile
	ErrNotWritable  = qemu.ErrNotWritable
	ErrDeviceAbsent = qemu.ErrDeviceAbsent
	ErrDiskMissing  = qemu.ErrDiskMissing
	ErrDiskKind     = qemu.ErrDiskKind
	ErrDiskInUse    = qemu.ErrDiskInUse
	ErrNotGrown     = qemu.ErrNotGrown
	ErrEmptyImage   = qemu.ErrEmptyImage
	ErrNotQCOW2     = qemu.ErrNotQCOW2
	ErrBackingFile  = qemu.ErrBackingFile
	ErrExternalData = qemu.ErrExternalData
)

// DiskError and the next ones say what is wrong with a file that a definition names.
type (
	DiskError       = qemu.DiskError
	FormatError     = qemu.FormatError
	CompressedError = qemu.CompressedError
	AttributeError  = qemu.AttributeError
	DeniedError     = qemu.DeniedError
	DanglingError   = qemu.DanglingError
	InUseError      = qemu.InUseError
	LoopError       = qemu.LoopError
	ClaimedError    = qemu.ClaimedError
)

// How QEMU ended, and what the guest's console shows.
var (
	ErrEnded            = qemu.ErrEnded // also the cause with which everything ends that depends on a QEMU
	ErrNoMemory         = qemu.ErrNoMemory
	ErrArchCapabilities = qemu.ErrArchCapabilities
	ErrPanic            = qemu.ErrPanic
	ErrHalted           = qemu.ErrHalted
	ErrNoBootDevice     = qemu.ErrNoBootDevice
	ErrNoOutput         = qemu.ErrNoOutput
)

// DiedError and ConsoleError say how QEMU ended, and what the guest's console shows.
type (
	DiedError    = qemu.DiedError
	ConsoleError = qemu.ConsoleError
)

// Stage is how far the guest has come on the way to an address.
type Stage = lease.Stage

// Silent is the stage of a guest of which no frame has been seen.
const Silent = lease.Silent
