package vms

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"
)

// wordPattern matches names of machines and devices in QEMU.
var wordPattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`)

// applyRule checks a text by the rule that an is tag names, and returns it in its final form. No text may contain
// invisible characters.
func applyRule(rule, text string, env Env) (string, error) {
	if r, found := invisible(text); found {
		return "", fmt.Errorf("must not hold control or invisible characters, such as %U", r)
	}
	switch rule {
	case "":
		return text, nil
	case "path":
		return absolute(text, env)
	case "identity":
		return identity(text, env)
	case "program":
		if !strings.Contains(text, "/") {
			return text, checkProgram(text)
		}
		return absolute(text, env)
	case "arch":
		return text, checkArch(text)
	case "word":
		return text, checkWord(text)
	case "cpu":
		return text, checkCPU(text)
	case "bridge":
		return text, checkBridge(text)
	case "user":
		return text, checkUser(text)
	}
	panic("no rule " + rule) // a bug in a struct tag, which the first test finds
}

// absolute resolves a path against the directory of the definition, not against the current directory. ~/ is the
// user's own home directory; $VAR is not expanded.
func absolute(path string, env Env) (string, error) {
	rest, home := strings.CutPrefix(path, "~/")
	switch {
	case len(path) > 4095: // PATH_MAX of linux/limits.h, less its NUL
		return "", errors.New("must be at most 4095 bytes")
	case home && env.Home == "":
		return "", errors.New("there is no home directory to put for ~")
	case home:
		return filepath.Join(env.Home, rest), nil
	case strings.HasPrefix(path, "~"):
		return "", errors.New(`only ~/ stands for a home directory; a file of this name is "./~…"`)
	case filepath.IsAbs(path):
		return filepath.Clean(path), nil
	}
	return filepath.Join(filepath.Dir(env.File), path), nil
}

// identity resolves the path of a key for ssh, which expands ${…} and has no way to quote it (vdollar_percent_expand
// in OpenSSH's misc.c).
func identity(path string, env Env) (string, error) {
	path, err := absolute(path, env)
	if err == nil && strings.Contains(path, "${") {
		err = errors.New("must not hold ${…}, which ssh would replace by a variable; ~/ stands for the home directory")
	}
	return path, err
}

func checkArch(arch string) error {
	if _, known := machines()[arch]; known {
		return nil
	}
	names := []string{"x86_64", "aarch64"}
	typed := arch
	switch arch { // the names that Go and Debian have for them
	case "amd64":
		typed = "x86_64"
	case "arm64":
		typed = "aarch64"
	}
	return errors.New("must be " + listed(names) + meant(typed, names))
}

// machines returns the supported architectures, each with its default machine.
func machines() map[string]string {
	return map[string]string{"x86_64": "q35", "aarch64": "virt"}
}

// checkWord checks the name of a machine or device. "help" is refused: with it QEMU prints a list and exits with 0.
func checkWord(word string) error {
	if !wordPattern.MatchString(word) || word == "help" {
		return errors.New("must be one word of letters, digits, dots, dashes and underscores, and not help")
	}
	return nil
}

// checkProgram checks the name of a program on PATH.
func checkProgram(name string) error {
	if !wordPattern.MatchString(name) {
		return errors.New("must be the name of a program or a path with a slash")
	}
	return nil
}

// checkCPU checks a CPU model with its features: "host,-arch-capabilities".
func checkCPU(cpu string) error {
	model, _, _ := strings.Cut(cpu, ",")
	if !wordPattern.MatchString(model) || model == "help" {
		return errors.New(`must be a CPU model of QEMU, with its features after commas, such as "host,-pmu"`)
	}
	return nil
}

// checkBridge checks that the kernel accepts the name for a link: at most 15 bytes, no space, slash or colon
// (dev_valid_name in net/core/dev.c).
func checkBridge(name string) error {
	blank := strings.ContainsFunc(name, unicode.IsSpace)
	if len(name) > 15 || blank || strings.ContainsAny(name, "/:") || name == "." || name == ".." {
		return errors.New("must be the name of a network link: at most 15 bytes, no blank, slash or colon")
	}
	return nil
}

// checkUser checks that ssh accepts the user name: valid_ruser in OpenSSH's ssh.c refuses characters that are special
// to a shell, since a user name can end up in a ProxyCommand. With a dash at the start it would be an option of ssh.
func checkUser(user string) error {
	blank := strings.ContainsFunc(user, unicode.IsSpace)
	if blank || strings.HasPrefix(user, "-") || strings.HasSuffix(user, `\`) || strings.ContainsAny(user, "'`\";&<>|(){}$%#") {
		return errors.New("must be a user name: no dash at the start, no backslash at the end, no blank and none of the shell's characters")
	}
	return nil
}
