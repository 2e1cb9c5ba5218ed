package launcher

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"github.com/qlaunch/qlaunch/vms"
)

// UnitStartError is the error of a start in a unit. The unit's process has no terminal, so it writes the error to the
// VM's run directory, and the command that requested the start from systemd returns it.
type UnitStartError struct {
	Text string `json:"error"`
	Hint string `json:"hint,omitzero"` // what the user can do, as the unit's process determined it
	Code int    `json:"code"`          // its exit code
}

func (e *UnitStartError) Error() string { return e.Text }

func failureFile(vm vms.VM) string { return filepath.Join(vm.RunDir, "failure.json") }

func writeFailure(vm vms.VM, failure *UnitStartError) error {
	text, _ := json.Marshal(failure) // texts and a number can always be encoded
	if err := forgetFailure(vm); err != nil {
		return err
	}
	f, err := os.OpenFile(failureFile(vm), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}

func readFailure(vm vms.VM) (*UnitStartError, bool) {
	failure := &UnitStartError{}
	text, _ := os.ReadFile(failureFile(vm)) // without a file there is no failure
	_ = json.Unmarshal(text, failure)
	return failure, failure.Text != ""
}

// forgetFailure removes what an earlier start has left.
func forgetFailure(vm vms.VM) error {
	err := os.Remove(failureFile(vm))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
