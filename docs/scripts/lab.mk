# The exercises; included by the root Makefile.
LAB := .cache/lab/lab

$(LAB): FORCE
	@$(GOBUILD) -o $@ ./docs/scripts/lab

lab-step%: $(LAB) FORCE ## the skeleton of lab N into work/stepN (RESET=1: anew)
	@$(LAB) copy $*

ifneq ($(VM)$(filter-out Linux,$(shell uname -s)),)
check-step%: FORCE
	@$(MAKE) -C vagrant VM= $@
hint-step%: FORCE
	@echo 'hints look at your program, which runs on Linux only: in the' \
	  'virtual machine (make -C vagrant shell), make $@' >&2; exit 1
grade grade-all:
	@$(MAKE) -C vagrant VM= $@
else

check-step%: $(LAB) FORCE rootfs ## points of work/stepN (or STEP_BIN=PROGRAM)
	@$(LAB) check $*

hint-step%: $(LAB) FORCE rootfs ## one more of three hints on what is not good
	@$(LAB) hint $*

# What these two print is a table, or csv, or json, and nothing else.
grade: $(LAB) ## points of all labs in work/ (FORMAT=csv or json)
	@$(MAKE) -s --no-print-directory rootfs >&2
	@$(LAB) grade

grade-all: $(LAB) ## the same for DIR/LEARNER/stepN, in containers
	@$(MAKE) -s --no-print-directory rootfs build-step7 >&2
	@$(LAB) grade-all '$(DIR)'

test-labs: build rootfs ## prove the labs: skeletons, solutions, planted faults
	@$(SCRIPTS)/test.sh labs

endif

.PHONY: grade grade-all test-labs
