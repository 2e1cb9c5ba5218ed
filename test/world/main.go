package world

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"runtime"

	"golang.org/x/sys/unix"
)

// maker is the world's first process while it makes the world.
type maker struct {
	Options
	asRoot   bool
	uid, gid int
	kvmGroup int         // the gid of the group kvm, which may run the helper
	std      [3]*os.File // the command's
	sources  map[string]*os.File
}

// Main is the world's first process: when args are those that Command gave it,
// it makes the world, runs the command and returns its exit code and true. In
// any other program it returns false at once.
func Main(args []string, stdin, stdout, stderr *os.File) (code int, ok bool) {
	if len(args) < 3 || args[0] != name || os.Getpid() != 1 {
		return 0, false
	}
	// The command is started on this thread, whose privileges are reduced first.
	runtime.LockOSThread()
	m := maker{asRoot: os.Getuid() == 0, uid: os.Getuid(), gid: os.Getgid(), std: [3]*os.File{stdin, stdout, stderr}}
	code, err := m.run(args[1], args[2:])
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "world: error:", err)
		return ExitBroken, true
	}
	return code, true
}

// run makes the world, step by step, and in it the command.
func (m *maker) run(options string, argv []string) (int, error) {
	if err := json.Unmarshal([]byte(options), &m.Options); err != nil {
		return 0, fmt.Errorf("options: %w", err)
	}
	if m.asRoot {
		m.uid, m.gid = User, User
	}
	unix.Umask(0o022)
	var dhcp *dnsmasq
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"open what is copied", m.openSources},
		{"mount", m.mounts},
		{"name the process", func() error { return os.WriteFile("/proc/self/comm", []byte("world"), 0) }},
		{"make /dev", m.dev},
		{"make /etc", m.etc},
		{"install the bridge helper", m.helper},
		{"copy", m.copySources},
		{"stand in for KVM", m.standIn},
		{"make the bridges", m.bridges},
		{"start dnsmasq", func() (err error) { dhcp, err = m.dhcp(); return err }},
		{"run the set-up script", m.setup},
	} {
		if err := step.do(); err != nil {
			return 0, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	go dhcp.obey(m.std[2]) // ends with the world
	return m.command(argv)
}

// setup runs the caller's script, as the world's root.
func (m *maker) setup() error {
	if m.Setup == "" {
		return nil
	}
	// It ends with the world, whose deadline is the caller's context.
	//nolint:noctx // see above
	cmd := exec.Command("/bin/sh", "-e", "-c", m.Setup)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "WORLD_DIR=" + Dir, "HELPER=" + Helper}
	cmd.Dir = Dir
	cmd.Stdout, cmd.Stderr = m.std[2], m.std[2]
	return cmd.Run()
}

// own gives the world's files to the user, when root made them.
func (m *maker) own(files ...string) error {
	for _, file := range files {
		if err := os.Lchown(file, m.uid, m.gid); err != nil {
			return err
		}
	}
	return nil
}

// lookPath finds program in the PATH of the command, which is not this process's.
func lookPath(program string) (string, error) {
	if path.Base(program) != program {
		return program, nil
	}
	for _, dir := range searchPath() {
		if file := path.Join(dir, program); unix.Access(file, unix.X_OK) == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("%q: %w", program, exec.ErrNotFound)
}

func searchPath() []string { return []string{Dir + "/bin", "/usr/bin", "/bin"} }
