package launcher_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
)

// Start a VM that is defined in ~/.config/qlaunch/vms/guestvm.toml, and print its address.
func Example() {
	ctx := context.Background()
	env := launcher.ForUser(ctx, launcher.Env{Environ: os.Environ(), Observer: logged{}})
	guest, err := launcher.Up(ctx, env, launcher.UpRequest{
		Name:    "guestvm",
		Wait:    launcher.GoalIP,
		Timeout: time.Minute,
		Stage:   func(stage string) { log.Println("guestvm:", stage) },
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(guest.Address)
}

// logged is an observer that writes what it is told to the log.
type logged struct{}

func (logged) Notice(text string)    { log.Println(text) }
func (logged) Command(argv []string) { log.Println("+", strings.Join(argv, " ")) }

// The life of a VM by the library alone, under the real QEMU. The VM has no NIC: what bridges are for, a test needs a
// network of its own for, which test/e2e has.
func TestAVMIsStartedAndEndedByTheLibrary(t *testing.T) {
	run, err := os.MkdirTemp("/tmp", "q") //nolint:usetesting // sockets lie in it, for which a test's own path is too long
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(run)
	home := t.TempDir()
	env := launcher.ForUser(t.Context(), launcher.Env{Users: run, Environ: []string{
		"HOME=" + home, "XDG_CONFIG_HOME=" + home, "XDG_RUNTIME_DIR=" + run, "PATH=" + os.Getenv("PATH")}})
	definition := "memory = \"64MiB\"\naccel = \"tcg\"\n[[nic]]\ntype = \"none\"\n"
	if err := os.MkdirAll(env.Store.Dirs.Config, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(env.Store.Path("web"), []byte(definition), 0o600); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := launcher.Down(context.Background(), env, launcher.DownRequest{Name: "web", Force: true}); err != nil {
			t.Error(err)
		}
		if info, err := launcher.Status(context.Background(), env, "web"); err != nil || info.State != launcher.Stopped {
			t.Errorf("after Down: %v, %v", info.State, err)
		}
	}()
	var stages []string
	got, err := launcher.Up(t.Context(), env, launcher.UpRequest{Name: "web", Wait: launcher.GoalRunning, Timeout: time.Minute,
		Stage: func(stage string) { stages = append(stages, stage) }})
	if err != nil || got.Address.IsValid() || strings.Join(stages, ", ") != "starts QEMU, QEMU runs" {
		t.Errorf("Up: %v, %v, stages %q", got, err, stages)
	}
	all, err := launcher.List(t.Context(), env, true)
	if err != nil || len(all) != 1 || all[0].Name != "web" || all[0].State != launcher.Running {
		t.Errorf("List: %+v, %v", all, err)
	}
}
