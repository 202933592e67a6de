# The one door: `make` alone lists every target.
# A target's text is what follows the two hash marks on its line.

SHELL    := /bin/bash
STEPDIRS := $(patsubst %/main.go,%,$(wildcard step[0-9][0-9]-*/main.go))
STEPS    := $(STEPDIRS:%=bin/%)
CSOURCES := $(wildcard step[0-9][0-9]-*/c/*.c)
CBINS    := $(foreach s,$(CSOURCES),bin/c/$(subst /c/,/,$(s:.c=)))
SCRIPTS  := docs/scripts
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.6.1

# sudo and plain users have shorter PATHs than the tools need.
export PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin

# Static programs (no cgo) run on any root filesystem. The version control
# stamp would fail in a checkout that another user owns.
export CGO_ENABLED = 0
HAVE_GO  := $(shell PATH='$(PATH)'; command -v go)
GO        = $(if $(HAVE_GO),go,$(error Go is missing: make doctor))
GOBUILD   = $(GO) build -buildvcs=false -trimpath -tags urfave_cli_no_docs
CFLAGS   := -std=gnu11 -O2 -Wall -Wextra -Werror
# Without a compiler the tests of the C programs are skipped.
TEST_C   := $(if $(shell command -v $(CC)),build-c)
ROOTFS   ?= $(CURDIR)/rootfs
export ROOTFS

# For what only root can do, if there is sudo to become root with.
AS_ROOT  := $(if $(filter-out 0,$(shell id -u)),$(shell command -v sudo))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help FORCE

help: ## list every target
	@echo 'The workshop: build your own Docker, step by step.'
	@echo
	@grep -hE '^[a-zA-Z0-9_%-]+:.*## ' $(MAKEFILE_LIST) | \
	  sed -E 's/%/N/; s/:.*## /\t/' | \
	  while IFS=$$'\t' read -r name text; do \
	    printf '  %-16s %s\n' "$$name" "$$text"; done
	@echo
	@echo 'N is a step, 1 to 7. VM=1 runs test, test-stepN, test-final, run'
	@echo 'and doctor in the virtual machine, as where there is no Linux.'

# Where there is no Linux there is the virtual machine.
ifneq ($(VM)$(filter-out Linux,$(shell uname -s)),)
run test doctor:
	@$(MAKE) -C vagrant VM= $@
test-step%: FORCE
	@$(MAKE) -C vagrant VM= $@
else

run: build rootfs ## a container of minidocker (STEP=N: of step N)
	@$(SCRIPTS)/run.sh

test: build $(TEST_C) rootfs ## every test, then the counts and the skips
	@$(SCRIPTS)/test.sh all

test-step%: FORCE rootfs ## the tests of step N (RUN=regexp: only some)
	@$(MAKE) -s --no-print-directory build-step$* $(TEST_C)
	@$(SCRIPTS)/test.sh $*

doctor: ## what this machine has and lacks, and how to get it
	@$(SCRIPTS)/doctor.sh

endif

.PHONY: run test doctor build build-c rootfs

build: $(STEPS) ## build every step and minidocker into bin/

build-step%: FORCE ## build step N
	@$(MAKE) --no-print-directory $(or \
	  $(filter bin/step0$(*:0%=%)-%,$(STEPS)), $(error there is no step $*))

build-c: $(CBINS) ## build the C programs into bin/c/

rootfs: ## make rootfs/, a root filesystem of one static busybox
	@$(SCRIPTS)/rootfs.sh $(ROOTFS)

# go build knows what has changed; make knows only when to ask it.
.SECONDEXPANSION:
$(STEPS): bin/%: $$(wildcard $$*/*.go) go.mod go.sum
	$(GOBUILD) -o $@ ./$*
	@touch $@

# One rule per C program: bin/c/STEP/NAME comes from STEP/c/NAME.c.
define c_program
bin/c/$(subst /c/,/,$(1:.c=)): $(1) $(wildcard $(dir $(1))*.h)
	@mkdir -p $$(@D)
	$(CC) $(CFLAGS) -static -o $$@ $$<
endef
$(foreach s,$(CSOURCES),$(eval $(call c_program,$(s))))

lint: ## gofmt, vet, staticcheck, shellcheck, line length
	@$(SCRIPTS)/lint.sh all

lint-staticcheck: ## staticcheck alone, pinned; downloads it the first time
	$(GO) run $(STATICCHECK) -tags urfave_cli_no_docs $(or $(PACKAGES),./...)

cross: ## build for amd64 and arm64; prove static binaries and no cgo
	@GOBUILD='$(GOBUILD)' $(SCRIPTS)/cross.sh

check-text: ## the tests of all text: snippets, transcripts, links
	$(GO) test -count=1 ./docs

mermaid: ## fetch Mermaid, with which the tests draw the diagrams
	@$(SCRIPTS)/mermaid.sh

mutants: build build-c rootfs ## break a line at a time; each must be noticed
	$(GO) test -tags mutants ./docs -run TestMutants -timeout 60m -v

trace-step%: FORCE ## strace of step N, only the calls it teaches
	@$(MAKE) -s --no-print-directory build-step$* rootfs
	@$(SCRIPTS)/trace.sh $*

diff-step%: FORCE ## what step N adds to step N-1, as a diff
	@$(SCRIPTS)/diff.sh $*

clean-host: ## remove what crashed steps left on this machine
	@$(GOBUILD) -o .cache/clean-host ./docs/scripts/clean-host
	@if [ -n '$(AS_ROOT)' ] && { $(AS_ROOT) -n true 2>/dev/null || \
	  { [ -t 0 ] && $(AS_ROOT) -v; }; }; then \
	  $(AS_ROOT) env TMPDIR="$${TMPDIR:-/tmp}" .cache/clean-host; \
	else .cache/clean-host; fi

clean: ## remove what make made: bin/ rootfs/ .cache/
	rm -rf bin rootfs .cache

.PHONY: lint lint-staticcheck cross check-text mermaid mutants clean-host clean

FORCE:

-include docs/scripts/lab.mk
-include final/final.mk
-include vagrant/qemu/qemu.mk
-include vagrant/vagrant.mk
