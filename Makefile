# Two commands set a fresh Debian or Ubuntu machine up by themselves and do the whole job:
#   make demo   a real VM on a private bridge: up, its address, ssh, down
#   make test   the tests, but those that need root and whole machines: make test-host
# They install what is missing (sudo only when not root). The Go that is needed comes by itself.

GO = "$$(sh test/go)"
LINT = $(GO) tool -modfile=.ci/tools/go.mod golangci-lint
# What the environment may set, as the command line may: PAIRS=7 make bench.
FUZZTIME ?= 1m
PREFIX ?= /usr/local
PAIRS ?= 11

.PHONY: all demo test test-host bench lint fuzz install clean packages preflight mutate

all: packages
	CGO_ENABLED=0 $(GO) build -trimpath -o build/qlaunch ./cmd/qlaunch

demo: all
	CGO_ENABLED=0 $(GO) build -o build/world ./test/world/cmd
	sh test/guest/build build/guest
	sh test/demo

test: packages preflight
	@# -count=1: Go's cache of results does not know that some tests run what they build.
	$(GO) test -race -count=1 -timeout 40m ./...
	@# Says what a start costs over QEMU by hand; go test is silent about what passes.
	$(GO) test -count=1 -v -run '^TestStartCost$$' ./test/e2e

# On whole Debian machines, booted with systemd in containers, and set-up hurt at every one of its system calls: needs root.
test-host: packages
	$(GO) test -tags host -count=1 -timeout 60m ./test/host
	$(GO) test -count=1 -timeout 40m -run 'Killed|Full' ./netsetup/host -every=1

# What it costs, beside QEMU by hand and libvirt, which it installs. No test; the times are this machine's.
bench: all
	@sh test/bench/packages
	CGO_ENABLED=0 $(GO) build -o build/fakeqemu ./test/fakeqemu/cmd
	CGO_ENABLED=0 $(GO) build -o build/bench ./test/bench
	sh test/guest/build build/guest
	build/bench --pairs $(PAIRS) build/qlaunch build/fakeqemu build/guest

lint: packages
	$(LINT) run ./...

# Each fuzz target for a while, one after the other.
fuzz: packages
	@for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			echo "$$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

install:
	install -D -m 0755 build/qlaunch $(DESTDIR)$(PREFIX)/bin/qlaunch
	@# The units of the users' systemd, with the path that the binary has now.
	for unit in qlaunch@.service qlaunch.slice qlaunch-logs.service qlaunch-logs.timer; do \
		sed 's|/usr/local/bin/qlaunch|$(PREFIX)/bin/qlaunch|' launcher/systemd/$$unit | \
			install -D -m 0644 /dev/stdin $(DESTDIR)$(PREFIX)/lib/systemd/user/$$unit || exit 1; \
	done

clean:
	rm -rf build

packages:
	@sh test/packages

# What the tests need of the kernel, in one line instead of in each that fails without it.
preflight: packages
	@CGO_ENABLED=0 $(GO) build -o build/preflight ./test/preflight/cmd
	@build/preflight

# The tests are tried: each change of the source that no test notices is shown. docs/mutants.md says why some stay.
mutate: packages
	$(GO) run ./test/mutate
