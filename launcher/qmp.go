package launcher

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/qlaunch/qlaunch/qmp"
)

// QMPRequest asks for one command on the monitor of a VM that runs.
type QMPRequest struct {
	Name      string
	Command   string          // of QEMU's Machine Protocol: "query-block"
	Arguments json.RawMessage // a JSON object; nil is none
	Timeout   time.Duration   // how long QEMU may take to answer
}

// QMP gives a VM's QEMU one command, and returns what QEMU does. What QEMU refuses is a *qmp.Error; a QEMU that does
// not answer is a [*MonitorError].
func QMP(ctx context.Context, e *Env, r QMPRequest) (json.RawMessage, error) {
	vm, err := current(e, r.Name)
	if err != nil {
		return nil, err
	}
	var answer json.RawMessage
	err = onMonitor(ctx, vm, r.Timeout, func(ctx context.Context, m *qmp.Monitor) (err error) {
		answer, err = execute(ctx, m, r.Command, r.Arguments)
		return err
	})
	return answer, err
}

// execute runs a command by its name and gives what it returns. What QEMU refuses is a *qmp.Error, without the path
// of the socket around it.
func execute(ctx context.Context, m *qmp.Monitor, command string, arguments json.RawMessage) (json.RawMessage, error) {
	request, err := json.Marshal(struct {
		Execute   string          `json:"execute"`
		Arguments json.RawMessage `json:"arguments,omitzero"`
	}{command, arguments})
	if err != nil {
		return nil, err
	}
	reply, err := m.With(ctx).Run(request)
	if refused, ok := errors.AsType[*qmp.Error](err); ok {
		return nil, refused
	}
	if err != nil {
		return nil, err
	}
	var answer struct{ Return json.RawMessage }
	return answer.Return, json.Unmarshal(reply, &answer)
}
