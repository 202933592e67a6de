# minidocker; included by the root Makefile.
.PHONY: build-final test-final test-dockerfile test-engines bench

build: bin/minidocker

build-final: bin/minidocker ## build minidocker into bin/

# go build knows what has changed.
bin/minidocker: FORCE
	@if [ -e final/main.go ]; then $(GOBUILD) -o $@ ./final; fi

ifneq ($(VM)$(filter-out Linux,$(shell uname -s)),)
test-final test-engines bench:
	@$(MAKE) -C vagrant VM= $@
else

test-final: build-final rootfs ## the tests of final/ (FINAL=final/DIR: only that)
	@$(SCRIPTS)/test.sh $(or $(FINAL),final)

bench: build-final rootfs ## minidocker against runc, podman, docker (RUNS=30)
	@mkdir -p .cache/bench
	@$(CC) $(CFLAGS) -static -o .cache/bench/floor final/bench/floor.c
	@$(CC) $(CFLAGS) -static -o .cache/bench/ab final/bench/ab.c
	@final/bench/bench.sh

# A module of its own: what it downloads is no dependency of minidocker's.
test-dockerfile: ## our Dockerfile parser against BuildKit's, on a corpus
	@cd final/dockerfile/buildkit && $(GO) mod download && \
	  BUILDKIT_DIR=$$($(GO) list -m -f '{{.Dir}}' github.com/moby/buildkit) \
	  $(GO) test -count=1 .

# Both engines are Debian's; runc and crun come with them.
test-engines: build-final rootfs ## minirunc under real Podman and real Docker
	@command -v podman >/dev/null && command -v dockerd >/dev/null || \
	  $(AS_ROOT) apt-get -q install -y --no-install-recommends podman docker.io
	@ln -sf minidocker bin/minirunc
	@$(AS_ROOT) final/testdata/engines.sh bin/minirunc $(ROOTFS)

endif
