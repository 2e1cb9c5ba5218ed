package launcher

import (
	"github.com/qlaunch/qlaunch/launcher/qemu"
	"github.com/qlaunch/qlaunch/netsetup/lease"
	"github.com/qlaunch/qlaunch/qmp/agent"
)

// This file names the errors of the packages below, so that a caller can identify them with this package alone: the
// Err… with errors.Is, the …Error with errors.As. Each is documented in its own package.

// Errors about the state of the VM, or about another command.
var (
	ErrNotRunning   = qemu.ErrNotRunning
	ErrRunning      = qemu.ErrRunning
	ErrBusy         = qemu.ErrBusy
	ErrConsoleTaken = qemu.ErrConsoleTaken
	ErrAgentTaken   = qemu.ErrAgentTaken
	ErrAgentSilent  = agent.ErrSilent
	ErrNoProgram    = agent.ErrNoProgram
)

type (
	// StrangerError is [qemu.StrangerError].
	StrangerError = qemu.StrangerError
	// OrphanError is [qemu.OrphanError].
	OrphanError = qemu.OrphanError
	// OpenError is [qemu.OpenError].
	OpenError = qemu.OpenError
	// MACError is [qemu.MACError].
	MACError = qemu.MACError
	// PausedError is [qemu.PausedError].
	PausedError = qemu.PausedError
)

// Errors about what a start needs on the host.
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

type (
	// NoQEMUError is [qemu.NoQEMUError].
	NoQEMUError = qemu.NoQEMUError
	// OldQEMUError is [qemu.OldQEMUError].
	OldQEMUError = qemu.OldQEMUError
	// KVMError is [qemu.KVMError].
	KVMError = qemu.KVMError
	// VhostError is [qemu.VhostError].
	VhostError = qemu.VhostError
	// SpaceError is [qemu.SpaceError].
	SpaceError = qemu.SpaceError
	// NotPrivateError is [qemu.NotPrivateError].
	NotPrivateError = qemu.NotPrivateError
	// RunDirError is [qemu.RunDirError].
	RunDirError = qemu.RunDirError
)

// Errors about files that a definition names.
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

type (
	// DiskError is [qemu.DiskError].
	DiskError = qemu.DiskError
	// FormatError is [qemu.FormatError].
	FormatError = qemu.FormatError
	// CompressedError is [qemu.CompressedError].
	CompressedError = qemu.CompressedError
	// AttributeError is [qemu.AttributeError].
	AttributeError = qemu.AttributeError
	// DeniedError is [qemu.DeniedError].
	DeniedError = qemu.DeniedError
	// DanglingError is [qemu.DanglingError].
	DanglingError = qemu.DanglingError
	// InUseError is [qemu.InUseError].
	InUseError = qemu.InUseError
	// LoopError is [qemu.LoopError].
	LoopError = qemu.LoopError
	// ClaimedError is [qemu.ClaimedError].
	ClaimedError = qemu.ClaimedError
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

type (
	// DiedError is [qemu.DiedError].
	DiedError = qemu.DiedError
	// ConsoleError is [qemu.ConsoleError].
	ConsoleError = qemu.ConsoleError
)

// Stage is how far the guest has come on the way to an address.
type Stage = lease.Stage

// Silent is the stage of a guest that has sent no frames.
const Silent = lease.Silent
