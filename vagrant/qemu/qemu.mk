# The test VM; included by the root Makefile. Lines with two hash marks are
# what `make` lists.
.PHONY: test-vm test-vm-docs test-vm-final test-vm-pin test-vm-self

test-vm: ## every suite in VMs, on two kernels (KERNEL=6.1: one)
	@vagrant/qemu/test-vm.sh

test-vm-step%: vagrant/qemu/test-vm.sh ## the suite of step N in the VM
	@vagrant/qemu/test-vm.sh $*

test-vm-docs: ## the transcripts that need cgroup v2, in VMs
	@vagrant/qemu/test-vm.sh docs

test-vm-final: ## the suites of final/ in VMs (FINAL=final/DIR: only that)
	@vagrant/qemu/test-vm.sh $(or $(FINAL),final)

test-vm-pin: ## move the VM's pins to Debian's newest (KERNEL=6.1)
	@vagrant/qemu/fetch.sh --pin $(or $(KERNEL),6.1 6.12 tools)

test-vm-self: ## prove the VM's exit codes: pass, fail, panic, hang, no pin
	@vagrant/qemu/self.sh
