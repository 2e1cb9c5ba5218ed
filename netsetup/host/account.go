package host

import (
	"context"
	"os/user"
	"slices"
	"strings"
)

const (
	present = "present"
	member  = "member"
)

func lookGroup(name string) (string, error) {
	if _, err := user.LookupGroup(name); err != nil {
		return "", ifKnown[user.UnknownGroupError](err)
	}
	return present, nil
}

func setGroup(ctx context.Context, name, state string) error {
	argv := []string{"groupadd", "--system", name}
	if state == "" {
		argv = []string{"groupdel", name}
	}
	_, err := run(ctx, "", argv...)
	return err
}

// lookMember returns the state of an item named GROUP/USER.
func lookMember(name string) (string, error) {
	group, who, _ := strings.Cut(name, "/")
	u, err := user.Lookup(who)
	if err != nil {
		return "", ifKnown[user.UnknownUserError](err)
	}
	g, err := user.LookupGroup(group)
	if err != nil {
		return "", ifKnown[user.UnknownGroupError](err)
	}
	ids, err := u.GroupIds()
	if err != nil || !slices.Contains(ids, g.Gid) {
		return "", err
	}
	return member, nil
}

// ifKnown returns nil for an error which only means that the account does not exist.
func ifKnown[Unknown error](err error) error {
	if _, unknown := err.(Unknown); unknown { //nolint:errorlint // os/user documents the type itself
		return nil
	}
	return err
}

func setMember(ctx context.Context, name, state string) error {
	group, who, _ := strings.Cut(name, "/")
	how := "--add"
	if state == "" {
		how = "--delete"
	}
	_, err := run(ctx, "", "gpasswd", how, who, group)
	return err
}

// lookOverride returns dpkg's record of a file's mode as "OWNER GROUP MODE".
func lookOverride(ctx context.Context, path string) (string, error) {
	if program("dpkg-statoverride") == "" {
		return "", nil
	}
	out, there, err := answers(ctx, "dpkg-statoverride", "--list", path)
	if err != nil || !there {
		return "", err
	}
	return strings.TrimSuffix(strings.TrimSpace(out), " "+path), nil
}

// setOverride changes only the record. The mode is a separate item.
func setOverride(ctx context.Context, path, state string) error {
	now, err := lookOverride(ctx, path)
	if err == nil && now != "" {
		_, err = run(ctx, "", "dpkg-statoverride", "--quiet", "--remove", path)
	}
	if err != nil || state == "" {
		return err
	}
	argv := append([]string{"dpkg-statoverride", "--quiet", "--add"}, strings.Fields(state)...)
	_, err = run(ctx, "", append(argv, path)...)
	return err
}
