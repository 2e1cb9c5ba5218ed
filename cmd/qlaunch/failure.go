package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"github.com/qlaunch/qlaunch/vms"
)

// handedError is why a start failed inside of a unit, as it was handed to the
// command that had asked for it: through a file in the VM's run directory,
// since a unit has nothing to do with the terminal that it is started from.
type handedError struct {
	Text string `json:"error"`
	Hint string `json:"hint,omitzero"`
	Code int    `json:"code"`
}

func (e *handedError) Error() string { return e.Text }

func failureFile(vm vms.VM) string { return filepath.Join(vm.RunDir, "failure.json") }

// writeFailure hands an error on, with the code and the hint that it has here.
func writeFailure(vm vms.VM, err error) error {
	code, hint := verdict(err)
	text, _ := json.Marshal(handedError{err.Error(), hint, code}) // texts and a number have a form
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

// readFailure takes what was handed on, if anything was.
func readFailure(vm vms.VM) (*handedError, bool) {
	handed := &handedError{}
	text, _ := os.ReadFile(failureFile(vm)) // no file, no failure
	_ = json.Unmarshal(text, handed)
	return handed, handed.Text != ""
}

// forgetFailure removes what an earlier start has left.
func forgetFailure(vm vms.VM) error {
	err := os.Remove(failureFile(vm))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
