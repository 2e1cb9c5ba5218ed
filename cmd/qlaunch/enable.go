package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/qlaunch/qlaunch/launcher"
)

type enableCmd struct {
	Names []string `arg:"" vm:"" name:"name" help:"VMs, each by its name."`
	Now   bool     `help:"Start them now, too, and print their addresses."`
}

func (enableCmd) Help() string {
	return "Makes VMs start with your systemd user manager: at boot when you linger, else when you log in. " +
		"Puts qlaunch@.service where it is read, if it is not there, and lets you linger where that takes no password."
}

func (enableCmd) Example() string { return "qlaunch enable guestvm --now" }

func (c *enableCmd) Run(ctx context.Context, s *session) error {
	names := once(c.Names)
	if err := launcher.Enable(ctx, s.env, names); err != nil {
		return perName("enable", names, err)
	}
	if !c.Now {
		return nil
	}
	started := newProgress(s, names)
	err := atOnce(names, func(i int, name string) (err error) {
		r := launcher.UpRequest{Name: name, Wait: launcher.GoalIP, Timeout: time.Minute, Stage: started.stage(i)}
		started.results[i], err = launcher.Up(ctx, s.env, r)
		return err
	}, "enable")
	started.done(false)
	return err
}

// perName returns the error of a command with several names: one for each that failed, or one for all.
func perName(what string, names []string, err error) error {
	several, ok := errors.AsType[launcher.NameErrors](err)
	if !ok {
		return of(what, strings.Join(names, " "), err)
	}
	var failed failures
	for _, one := range several {
		failed = append(failed, of(what, one.Name, one.Err))
	}
	return failed
}
