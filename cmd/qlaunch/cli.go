package main

import (
	"encoding"
	"fmt"
	"io"
	"reflect"

	"github.com/alecthomas/kong"

	"github.com/qlaunch/qlaunch/vms"
)

// commandLine is the whole command line.
type commandLine struct {
	Verbose bool `short:"v" help:"Show each external command on standard error."`

	Up       upCmd           `cmd:"" aliases:"start" help:"Start VMs and print their addresses."`
	Down     downCmd         `cmd:"" aliases:"stop" help:"Shut VMs down."`
	Restart  restartCmd      `cmd:"" help:"Shut VMs down and start them again."`
	Pause    pauseCmd        `cmd:"" help:"Stop the guests' processors."`
	Resume   resumeCmd       `cmd:"" help:"Let paused guests go on."`
	Reset    resetCmd        `cmd:"" help:"Press the reset button."`
	Enable   enableCmd       `cmd:"" help:"Make VMs start at boot."`
	Disable  disableCmd      `cmd:"" help:"Do not start VMs at boot."`
	Ls       lsCmd           `cmd:"" aliases:"list" help:"List the VMs."`
	Status   statusCmd       `cmd:"" help:"Show a VM's state."`
	IP       ipCmd           `cmd:"" name:"ip" help:"Print a VM's address."`
	SSH      sshCmd          `cmd:"" name:"ssh" aliases:"shell" help:"Run ssh to a VM."`
	SSHConf  sshConfCmd      `cmd:"" name:"ssh-config" help:"Print entries for ~/.ssh/config."`
	Proxy    proxyCmd        `cmd:"" hidden:"" help:"Connect standard input and output to a VM's sshd."`
	Watch    watchSessionCmd `cmd:"" name:"watch-session" hidden:"" help:"End an ssh session when its VM ends."`
	Exec     execCmd         `cmd:"" help:"Run a program in a VM through its guest agent."`
	Cp       cpCmd           `cmd:"" help:"Copy files to or from a VM."`
	Console  consoleCmd      `cmd:"" help:"Connect the terminal to a VM's serial console."`
	Logs     logsCmd         `cmd:"" help:"Print what the guest wrote to its console."`
	Wait     waitCmd         `cmd:"" help:"Wait until a VM runs, has an address, is reachable by ssh or guest agent, or has stopped."`
	Argv     argvCmd         `cmd:"" help:"Print the command line of a VM's QEMU."`
	Screen   screenCmd       `cmd:"" name:"screenshot" help:"Write what a VM's display shows to a PNG file."`
	View     viewCmd         `cmd:"" help:"Look at a VM's display in a window."`
	QMP      qmpCmd          `cmd:"" name:"qmp" help:"Send one QMP command to a VM."`
	New      newCmd          `cmd:"" help:"Write the definition of a new VM."`
	Edit     editCmd         `cmd:"" help:"Edit a definition; it is checked before it is saved."`
	Validate validateCmd     `cmd:"" help:"Check definitions."`
	Rm       rmCmd           `cmd:"" aliases:"delete" help:"Remove a VM: its definition, its disks, its logs."`

	Doctor doctorCmd `cmd:"" help:"Check that this host can run a VM, and print a fix for each problem."`
	Net    netCmd    `cmd:"" help:"Set up, remove and list bridges on this host."`

	UnitStart unitStartCmd `cmd:"" hidden:"" help:"Start a VM as what a systemd unit runs."`
	UnitStop  unitStopCmd  `cmd:"" hidden:"" help:"Shut down the VM of a systemd unit."`

	Completion completionCmd `cmd:"" help:"Print a shell's completion script."`
	Trim       trimCmd       `cmd:"" hidden:"" help:"Cut the logs of all VMs to their size."`
	Complete   completeCmd   `cmd:"" hidden:"" help:"Print the words that may come next."`
	Version    versionCmd    `cmd:"" help:"Print the version."`
}

// exampler is a command with an example at the end of its help.
type exampler interface{ Example() string }

// newParser makes kong's model of a struct of commands: a commandLine, or a part of one.
func newParser(line any, s *session) (*kong.Kong, error) {
	return kong.New(line,
		kong.Name("qlaunch"),
		kong.Description("Virtual machines on a bridge, without libvirt, a daemon or root."),
		kong.Writers(s.stdout, s.stderr),
		kong.Exit(s.exit),
		kong.Help(help),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Bind(s),
		kong.KindMapper(reflect.String, kong.MapperFunc(asTyped)),
		quoted[vms.Size](), quoted[vms.Duration](),
	)
}

// asTyped takes an argument byte for byte: a file name need not be UTF-8, and kong's own decoder would change it.
func asTyped(ctx *kong.DecodeContext, target reflect.Value) error {
	word, err := ctx.Scan.PopValue("string")
	if err != nil {
		return err
	}
	target.SetString(word.String())
	return nil
}

// quoted adds the value to an error about a flag, which kong leaves out for types that decode themselves.
func quoted[T any]() kong.Option {
	return kong.TypeMapper(reflect.TypeFor[T](), kong.MapperFunc(func(line *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := line.Scan.PopValueInto("text", &text); err != nil {
			return err
		}
		if err := target.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text)); err != nil {
			return fmt.Errorf("%q: %w", text, err)
		}
		return nil
	}))
}

// help prints kong's help with the command's example at the end.
func help(options kong.HelpOptions, call *kong.Context) error {
	if err := kong.DefaultHelpPrinter(options, call); err != nil {
		return err
	}
	selected := call.Selected()
	if selected == nil {
		return example(call.Stdout, exitCodes,
			"qlaunch new guestvm --image ~/debian.qcow2 --user debian && qlaunch up guestvm && qlaunch ssh guestvm")
	}
	if command, ok := reflect.TypeAssert[exampler](selected.Target.Addr()); ok {
		return example(call.Stdout, "", command.Example())
	}
	return nil
}

func example(w io.Writer, before, text string) error {
	if before != "" {
		before = "\n" + before + "\n"
	}
	_, err := fmt.Fprintf(w, "%s\nExample:\n  %s\n", before, text)
	return err
}
