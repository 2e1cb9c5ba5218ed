//go:build host

package host_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"github.com/rogpeppe/go-internal/testscript"
)

// installed is where make install has put what is below the given directory of a host.
func installed(dir string) string { return programs + "/installed" + dir }

// installPrograms installs the program of `make install`, and the tool of the tests.
func (s *session) installPrograms() error {
	return errors.Join(
		s.unpack(installed("/usr/local/bin"), "root", "/usr/local/bin"),
		s.unpack(programs+"/bin", "root", "/usr/local/bin"),
	)
}

// moveIn installs the program of `make install`, without the units, puts the guest into
// /mnt/guest, the definitions of guestvm and other with dev's, and the script's
// files into dev's home.
func (s *session) moveIn(env *testscript.Env) error {
	return errors.Join(
		s.installPrograms(),
		s.unpack(programs+"/guest", "dev", "/mnt/guest"),
		s.unpack("testdata/vms", "dev", "/home/dev/.config/qlaunch/vms"),
		s.unpack(env.WorkDir, "dev", "/home/dev"),
	)
}

// unpack copies what is in the directory from to the directory to of the host,
// where it becomes the user's.
func (s *session) unpack(from, user, to string) error {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := errors.Join(w.AddFS(os.DirFS(from)), w.Close()); err != nil {
		return err
	}
	argv := s.host.Enter("runuser", "-u", user, "--", "sh", "-ec", `mkdir -p "$1"; tar -C "$1" -x --no-same-owner`, "sh", to)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin = &archive
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s to %s: %w\n%s", from, to, err, text)
	}
	return nil
}
