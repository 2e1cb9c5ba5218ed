package main

import (
	_ "al.essio.dev/pkg/shellescape"
	_ "github.com/agext/levenshtein"
	_ "github.com/alecthomas/kong"
	_ "github.com/digitalocean/go-qemu/qmp/raw"
	_ "github.com/fsnotify/fsnotify"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/pelletier/go-toml/v2"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/vbauerster/mpb/v8"
	_ "github.com/vishvananda/netlink"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/term"
)
