package main

import (
	"cmp"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/qlaunch/qlaunch/launcher"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: ${enum}."`
}

func (completionCmd) Help() string {
	return "The script asks qlaunch itself for the words, so the names of VMs are always those that are there. " +
		"The example's line in ~/.bashrc loads it into each shell."
}

func (completionCmd) Example() string {
	return "source <(qlaunch completion bash)"
}

var (
	//go:embed completion/bash
	bashCompletion string
	//go:embed completion/zsh
	zshCompletion string
	//go:embed completion/fish
	fishCompletion string
)

func (c *completionCmd) Run(s *session) error {
	script := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Shell]
	_, err := fmt.Fprint(s.stdout, script)
	return err
}

// completeCmd is called by the scripts, with the words after qlaunch, the last one under the cursor and possibly
// empty.
type completeCmd struct {
	Words []string `arg:"" optional:"" passthrough:""`
}

func (c *completeCmd) Run(s *session, parser *kong.Kong) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	if len(words) == 0 {
		words = []string{""}
	}
	before, typed := words[:len(words)-1], words[len(words)-1]
	// bash splits --wait=ip into three words.
	before = slices.DeleteFunc(before, func(word string) bool { return word == "=" })
	typed = strings.TrimPrefix(typed, "=")
	for _, word := range candidates(s.env, parser.Model.Node, before, typed) {
		if strings.HasPrefix(word, typed) {
			fmt.Fprintln(s.stdout, word)
		}
	}
	return nil
}

// candidates returns the words that may follow.
func candidates(e *launcher.Env, root *kong.Node, before []string, typed string) []string {
	if len(before) > 0 {
		if values := flagValues(root, before); values != nil {
			return values
		}
	}
	command := commandIn(root, before)
	switch {
	case strings.HasPrefix(typed, "-"):
		return flagNames(root, command)
	case command == nil:
		return commandNames(root)
	case len(command.Children) > 0:
		return commandNames(command)
	default:
		return arguments(e, command)
	}
}

// commandIn returns the command among the words, by its name or an alias; for a group, the command that follows, or
// the group.
func commandIn(root *kong.Node, words []string) *kong.Node {
	for i, word := range words {
		for _, child := range root.Children {
			if child.Name == word || slices.Contains(child.Aliases, word) {
				return cmp.Or(commandIn(child, words[i+1:]), child)
			}
		}
	}
	return nil
}

func commandNames(group *kong.Node) []string {
	var names []string
	for _, child := range group.Children {
		if !child.Hidden {
			names = append(names, child.Name)
		}
	}
	return names
}

func flagNames(root, command *kong.Node) []string {
	var names []string
	for _, flag := range flags(root, command) {
		names = append(names, "--"+flag.Name)
	}
	return names
}

func flags(root, command *kong.Node) []*kong.Flag {
	if command == nil {
		return root.Flags
	}
	return append(slices.Clone(root.Flags), command.Flags...)
}

// flagValues returns the values of the flag before the word, if it accepts one of a few.
func flagValues(root *kong.Node, before []string) []string {
	last := before[len(before)-1]
	for _, flag := range flags(root, commandIn(root, before)) {
		named := last == "--"+flag.Name || flag.Short != 0 && last == "-"+string(flag.Short)
		if named && flag.Enum != "" {
			return strings.Split(flag.Enum, ",")
		}
	}
	return nil
}

// arguments returns the arguments that a command accepts: VMs, or one of a few words.
func arguments(e *launcher.Env, command *kong.Node) []string {
	if len(command.Positional) == 0 {
		return nil
	}
	argument := command.Positional[0]
	switch {
	case argument.Enum != "":
		return strings.Split(argument.Enum, ",")
	case argument.Tag.Has("vm"):
		names, err := launcher.Names(e)
		if err != nil {
			return nil // a completion cannot report an error
		}
		return names
	default:
		return nil
	}
}
