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

// usualBinary is the path of qlaunch in the unit files in the repository.
const usualBinary = "/usr/local/bin/qlaunch"

// Names of the unit files.
const (
	TemplateFile    = "qlaunch@.service"
	SliceFile       = "qlaunch.slice"
	LogsTimerFile   = "qlaunch-logs.timer"
	LogsServiceFile = "qlaunch-logs.service"
)

// Name returns the unit name of a VM.
func Name(vm string) string { return "qlaunch@" + vm + ".service" }

// Files returns the texts of the unit files by their names, for a qlaunch at the path binary.
func Files(binary string) map[string]string {
	return map[string]string{
		TemplateFile:    strings.ReplaceAll(template, usualBinary, quote(binary)),
		SliceFile:       slice,
		LogsTimerFile:   logsTimer,
		LogsServiceFile: strings.ReplaceAll(logsService, usualBinary, quote(binary)),
	}
}

// quote quotes a path as the first word of a command in a unit file (systemd.service(5), "Command lines"; a $ has no
// special meaning there).
func quote(path string) string {
	path = strings.ReplaceAll(path, "%", "%%")
	if !strings.ContainsAny(path, " \t\"'\\;") {
		return path
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
}

// Install writes the unit files to a directory unless they are there already with the same text, and reports whether
// it wrote any: the manager must then reload. It writes the template last, so that the units that it wants exist
// whenever the template is up to date.
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

// Same reports whether a template that the manager has loaded is that of this version and binary.
func Same(path, binary string) bool {
	text, err := os.ReadFile(path)
	return err == nil && string(text) == Files(binary)[TemplateFile]
}

// restartDropIn makes systemd restart a VM when QEMU fails.
const restartDropIn = `# Written by qlaunch, from restart = "on-failure" in the VM's definition.
[Service]
Restart=on-failure
RestartSec=1s
# No second try mends these: a wrong definition, none, a VM that runs elsewhere.
RestartPreventExitStatus=2 4 7
`

// SetRestart writes or removes the drop-in that restarts a VM on failure, and reports whether that changed anything.
// dir is the directory of the user's unit files.
func SetRestart(dir, vm string, onFailure bool) (changed bool, err error) {
	path := filepath.Join(dir, Name(vm)+".d", "restart.conf")
	if onFailure {
		return put(path, restartDropIn)
	}
	err = os.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	_ = os.Remove(filepath.Dir(path)) // fails if the user has drop-ins there
	return err == nil, err
}

// Forget removes what belongs to a VM from the user's unit files: the link that starts it at boot, and the restart
// drop-in.
func Forget(dir, vm string) error {
	_, err := SetRestart(dir, vm, false)
	wanted := os.Remove(filepath.Join(dir, "default.target.wants", Name(vm)))
	if errors.Is(wanted, fs.ErrNotExist) {
		wanted = nil
	}
	return errors.Join(err, wanted)
}

// put writes a file unless it has this text already.
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
