package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
	"github.com/qlaunch/qlaunch/vms"
)

type qmpCmd struct {
	Name      string       `arg:"" vm:"" help:"A VM."`
	Command   string       `arg:"" help:"A command of QEMU's Machine Protocol."`
	Arguments string       `arg:"" name:"json" optional:"" help:"Its arguments, a JSON object."`
	Timeout   vms.Duration `default:"5s" help:"How long QEMU may take to answer."`
}

func (qmpCmd) Help() string {
	return "Prints what QEMU returns, as JSON. What QEMU refuses is an error with QEMU's own class and words. `qlaunch qmp NAME query-commands` lists the commands."
}

func (qmpCmd) Example() string { return "qlaunch qmp guestvm query-block" }

func (c *qmpCmd) Run(ctx context.Context, s *session) error {
	return of("qmp", c.Name, c.run(ctx, s))
}

func (c *qmpCmd) run(ctx context.Context, s *session) error {
	arguments, err := jsonObject(c.Arguments)
	if err != nil {
		return &usageError{err, "qmp"}
	}
	answer, err := launcher.QMP(ctx, s.env, launcher.QMPRequest{
		Name: c.Name, Command: c.Command, Arguments: arguments, Timeout: time.Duration(c.Timeout)})
	if err != nil {
		return err
	}
	return printJSON(s.stdout, answer)
}

// jsonObject is a text that holds one JSON object, or nothing.
func jsonObject(text string) (json.RawMessage, error) {
	if text == "" {
		return nil, nil
	}
	if !json.Valid([]byte(text)) {
		return nil, fmt.Errorf("%q: not JSON", text)
	}
	if object := bytes.TrimSpace([]byte(text)); object[0] == '{' {
		return object, nil
	}
	return nil, fmt.Errorf("%q: must be a JSON object", text)
}
