package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// supervise is a program: supervise PROGRAM ARG… runs the program as systemd
// runs that of a Type=notify unit, and prints what it tells, on standard output. Its exit code is the program's.
func supervise() {
	dir, err := os.MkdirTemp("/tmp", "q")
	fail(err)
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	fail(err)
	var heard sync.WaitGroup
	heard.Go(func() { hearNotices(conn) })
	cmd := exec.Command(os.Args[1], os.Args[2:]...)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	_ = cmd.Run()
	conn.Close()
	heard.Wait()
	os.RemoveAll(dir)
	os.Exit(cmd.ProcessState.ExitCode())
}

// hearNotices prints each message and closes what comes with it, until the socket is closed.
func hearNotices(conn *net.UnixConn) {
	for {
		data, rights := make([]byte, 4096), make([]byte, 4096)
		n, oobn, _, _, err := conn.ReadMsgUnix(data, rights)
		if err != nil {
			return
		}
		messages, _ := unix.ParseSocketControlMessage(rights[:oobn])
		for _, m := range messages {
			fds, _ := unix.ParseUnixRights(&m)
			for _, fd := range fds {
				_ = unix.Close(fd)
			}
		}
		if text := string(data[:n]); text != "BARRIER=1" {
			fmt.Println(text)
		}
	}
}
