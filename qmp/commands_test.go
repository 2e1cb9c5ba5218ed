package qmp

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCommandsAndTheirAnswers(t *testing.T) {
	noAnswer := func(f func(context.Context) error) func(context.Context) (string, error) {
		return func(ctx context.Context) (string, error) { return "", f(ctx) }
	}
	m := new(Monitor)
	tests := []struct {
		command, answer string
		run             func(context.Context) (string, error)
		want            string
	}{
		{"system_powerdown", `{}`, noAnswer(func(ctx context.Context) error { return m.Powerdown(ctx) }), ""},
		{"quit", `{}`, noAnswer(func(ctx context.Context) error { return m.Quit(ctx) }), ""},
		{"stop", `{}`, noAnswer(func(ctx context.Context) error { return m.Stop(ctx) }), ""},
		{"cont", `{}`, noAnswer(func(ctx context.Context) error { return m.Cont(ctx) }), ""},
		{"system_reset", `{}`, noAnswer(func(ctx context.Context) error { return m.Reset(ctx) }), ""},
		{"system_wakeup", `{}`, noAnswer(func(ctx context.Context) error { return m.Wakeup(ctx) }), ""},
		{"query-block", `[{"device": "", "io-status": "nospace", "inserted": {"file": "/disk0.qcow2", "ro": false}, "type": "unknown"}, {"device": "cd"}, {"inserted": {"file": "/disk1.raw"}}]`,
			func(ctx context.Context) (string, error) {
				disks, err := m.Disks(ctx)
				return fmt.Sprintf("%+v", disks), err
			}, "[{File:/disk0.qcow2 IOStatus:nospace} {File:/disk1.raw IOStatus:}]"},
		{"query-status", `{"status": "guest-panicked", "singlestep": false, "running": false}`, func(ctx context.Context) (string, error) {
			s, err := m.Status(ctx)
			return fmt.Sprintf("%+v", s), err
		}, "{State:guest-panicked Running:false}"},
		{"query-chardev", `[{"label": "qmp", "filename": "f", "frontend-open": false}, {"label": "qga", "filename": "f", "frontend-open": true}]`,
			func(ctx context.Context) (string, error) {
				open, err := m.ChardevOpen(ctx, "qga")
				return fmt.Sprint(open), err
			}, "true"},
		{"query-chardev", `[{"label": "qmp", "filename": "f", "frontend-open": true}]`, func(ctx context.Context) (string, error) {
			open, err := m.ChardevOpen(ctx, "qga")
			return fmt.Sprint(open), err
		}, "false"},
		{"query-kvm", `{"enabled": false, "present": true}`, func(ctx context.Context) (string, error) {
			enabled, present, err := m.KVM(ctx)
			return fmt.Sprint(enabled, present), err
		}, "false true"},
		{"query-uuid", `{"UUID": "b5a4"}`, func(ctx context.Context) (string, error) { return m.UUID(ctx) }, "b5a4"},
		{"query-name", `{"name": "guestvm"}`, func(ctx context.Context) (string, error) { return m.Name(ctx) }, "guestvm"},
		{"query-name", `{}`, func(ctx context.Context) (string, error) { return m.Name(ctx) }, ""},
		{"query-version", `{"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}`,
			func(ctx context.Context) (string, error) { return m.Version(ctx) }, "7.2.22"},
	}
	m = dialScript(t, func(p *peer) {
		p.greet()
		for _, tt := range tests {
			req := p.receive()
			if diff := cmp.Diff(tt.command, req.Execute); diff != "" {
				t.Error(diff)
			}
			p.send(`{"return": %s, "id": %d}`, tt.answer, req.ID)
		}
	})
	for _, tt := range tests {
		got, err := tt.run(generous(t))
		if got != tt.want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", tt.command, got, err, tt.want)
		}
	}
}

func TestAnswersThatDoNotFitNameTheCommand(t *testing.T) {
	m := new(Monitor)
	tests := []struct {
		answer string
		run    func(context.Context) error
		want   string
	}{
		{`{"status": "dreaming\u001b"}`, func(ctx context.Context) error { _, err := m.Status(ctx); return err },
			`query-status: not QMP: unknown enum value "dreaming\x1b" for RunState`},
		{`{"enabled": "yes"}`, func(ctx context.Context) error { _, _, err := m.KVM(ctx); return err },
			`query-kvm: not QMP: enabled is a JSON string`},
		{`[]`, func(ctx context.Context) error { _, err := m.UUID(ctx); return err }, `query-uuid: not QMP: a message is a JSON array`},
		{`7`, func(ctx context.Context) error { _, err := m.Name(ctx); return err }, `query-name: not QMP: a message is a JSON number`},
		{`{"qemu": {"major": {}}}`, func(ctx context.Context) error { _, err := m.Version(ctx); return err },
			`query-version: not QMP: qemu.major is a JSON object`},
	}
	m = dialScript(t, func(p *peer) {
		p.greet()
		for _, tt := range tests {
			p.send(`{"return": %s, "id": %d}`, tt.answer, p.receive().ID)
		}
	})
	for _, tt := range tests {
		wantError(t, tt.run(generous(t)), "", "qmp SOCKET: "+tt.want)
	}
}

func TestAQuitThatIsAnsweredByTheEndHasDoneItsWork(t *testing.T) {
	m := dialScript(t, func(p *peer) { p.greet(); p.receive() })
	if err := m.Quit(generous(t)); err != nil {
		t.Error(err)
	}
}
