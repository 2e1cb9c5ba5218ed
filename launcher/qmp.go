package launcher

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/qlaunch/qlaunch/qmp"
)

// QMPRequest is a request to run a command on the monitor of a running VM.
type QMPRequest struct {
	Name      string
	Command   string          // of the QEMU Machine Protocol: "query-block"
	Arguments json.RawMessage // a JSON object; nil: none
	Timeout   time.Duration   // how long QEMU may take to reply
}

// QMP runs a command on a VM's monitor and returns the reply. The error is a *qmp.Error if QEMU refuses the command,
// and a [*MonitorError] if QEMU does not respond.
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

// execute runs a command by its name and returns its reply. If QEMU refuses it, the error is a *qmp.Error without the
// path of the socket.
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
