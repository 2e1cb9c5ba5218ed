package host

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// Release is a release of Debian.
type Release struct {
	Name     string // as the scripts' conditions and the tests have it
	Codename string
}

// Releases are those that the host tests run on.
func Releases() []Release {
	return []Release{{"debian12", "bookworm"}, {"debian13", "trixie"}}
}

// tree is the directory of the release's file system, which build makes; script
// is the path of build.
func (r Release) tree(ctx context.Context, script string) (string, error) {
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", script, r.Codename)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", r.Codename, err, complaints.Bytes())
	}
	return strings.TrimSpace(out.String()), nil
}
