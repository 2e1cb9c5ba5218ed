package systemd

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

var (
	//go:embed qlaunch@.service
	template string
	//go:embed qlaunch.slice
	slice string
	//go:embed qlaunch-logs.timer
	logsTimer string
	//go:embed qlaunch-logs.service
	logsService string
)

// usualBinary is the program in the unit files as they lie in the repository.
const usualBinary = "/usr/local/bin/qlaunch"

// Names of the unit files.
const (
	TemplateFile    = "qlaunch@.service"
	SliceFile       = "qlaunch.slice"
	LogsTimerFile   = "qlaunch-logs.timer"
	LogsServiceFile = "qlaunch-logs.service"
)

// Name is the unit of a VM.
func Name(vm string) string { return "qlaunch@" + vm + ".service" }

// Files are the unit files by their names, for a qlaunch that lies at a path.
func Files(binary string) map[string]string {
	return map[string]string{
		TemplateFile:    strings.ReplaceAll(template, usualBinary, quote(binary)),
		SliceFile:       slice,
		LogsTimerFile:   logsTimer,
		LogsServiceFile: strings.ReplaceAll(logsService, usualBinary, quote(binary)),
	}
}

// quote writes a path as the first word of a command in a unit file (systemd.service(5), "Command lines";
// there a $ stands for itself).
func quote(path string) string {
	path = strings.ReplaceAll(path, "%", "%%")
	if !strings.ContainsAny(path, " \t\"'\\;") {
		return path
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
}

// Install puts the unit files into a directory where they are not there
// already, word for word, and tells whether it had to: then the manager must reload.
// The template comes last: where it is this version's, so are the others, which it wants.
func Install(dir, binary string) (changed bool, err error) {
	files := Files(binary)
	for _, name := range []string{SliceFile, LogsServiceFile, LogsTimerFile, TemplateFile} {
		written, err := put(filepath.Join(dir, name), files[name])
		if err != nil {
			return changed, err
		}
		changed = changed || written
	}
	return changed, nil
}

// Same tells whether a template that the manager has loaded is the one of this version and binary.
func Same(path, binary string) bool {
	text, err := os.ReadFile(path)
	return err == nil && string(text) == Files(binary)[TemplateFile]
}

// restartDropIn is what makes systemd start a VM again whose QEMU did not end well.
const restartDropIn = `# Written by qlaunch, from restart = "on-failure" in the VM's definition.
[Service]
Restart=on-failure
RestartSec=1s
# No second try mends these: a wrong definition, none, a VM that runs elsewhere.
RestartPreventExitStatus=2 4 7
`

// SetRestart makes the drop-in by which a VM is restarted on failure, or removes
// it, and tells whether that changed anything. dir is that of the user's unit files.
func SetRestart(dir, vm string, onFailure bool) (changed bool, err error) {
	path := filepath.Join(dir, Name(vm)+".d", "restart.conf")
	if onFailure {
		return put(path, restartDropIn)
	}
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	_ = os.Remove(filepath.Dir(path)) // not when the user has drop-ins there
	return err == nil, err
}

// Forget removes what is kept of a VM among the user's unit files: that it is
// started at boot, and its restart.
func Forget(dir, vm string) error {
	_, err := SetRestart(dir, vm, false)
	wanted := os.Remove(filepath.Join(dir, "default.target.wants", Name(vm)))
	if errors.Is(wanted, fs.ErrNotExist) {
		wanted = nil
	}
	return errors.Join(err, wanted)
}

// put writes a file that is not there or says something else.
func put(path, text string) (changed bool, err error) {
	if old, err := os.ReadFile(path); err == nil && string(old) == text {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, fmt.Errorf("unit file: %w", err)
	}
	part := path + ".part"
	if err := os.WriteFile(part, []byte(text), 0o644); err != nil {
		return false, fmt.Errorf("unit file: %w", err)
	}
	return true, os.Rename(part, path)
}
