package qmp

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

// fullConn is a connection into which nothing can be written: the kernel has no buffer for it.
type fullConn struct{ net.Conn }

func (fullConn) Write([]byte) (int, error) {
	return 0, &net.OpError{Op: "write", Net: "unix", Err: syscall.ENOBUFS}
}

func TestARequestThatCannotBeWrittenFailsAtOnce(t *testing.T) {
	client, server := net.Pipe()
	go func() {
		_, _ = server.Write([]byte(`{"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 0}, "package": ""}, "capabilities": []}}` + "\n"))
	}()
	t.Cleanup(func() { server.Close() })
	_, err := open(generous(t), fullConn{client}, "SOCKET")
	const want = "qmp SOCKET: qmp_capabilities: not sent: write unix: no buffer space available"
	if !errors.Is(err, syscall.ENOBUFS) || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
