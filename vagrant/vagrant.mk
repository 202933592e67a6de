# What the root Makefile knows of the Vagrant and Lima machines.

test-vagrant: ## the whole Vagrant way, proved; root, minutes (ONLY="1 3")
	@RECORD=$(RECORD) vagrant/test-vagrant.sh $(ONLY)

box: ## build the Vagrant box from Debian packages into .cache/box (root)
	@vagrant/mkbox.sh

lint-vagrant: ## shellcheck, and what vagrant and limactl say of our files
	@vagrant/lint.sh

.PHONY: test-vagrant box lint-vagrant
