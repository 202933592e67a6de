#!/bin/sh
# Checks the files of this directory with the tools they are written for.
# A tool that is not here is named, with the way to get it.
set -eu
cd "$(dirname "$0")"
missing=0

have() {
	command -v "$1" >/dev/null && return
	printf 'lint: %s is missing: %s\n' "$1" "$2" >&2
	missing=1
	return 1
}

if have shellcheck 'apt-get install shellcheck'; then
	shellcheck ./*.sh
fi
if have vagrant 'apt-get install vagrant vagrant-libvirt'; then
	LIBVIRT_DRIVER=qemu VAGRANT_DEFAULT_PROVIDER=libvirt vagrant validate
fi
if have limactl 'https://lima-vm.io/docs/installation/'; then
	# limactl does nothing for root, and wants a home that it can write to.
	home=$(mktemp -d)
	trap 'rm -rf "$home"' EXIT
	if [ "$(id -u)" = 0 ]; then
		chown 65534 "$home"
		HOME=$home setpriv --reuid=65534 --regid=65534 --clear-groups \
			limactl validate lima.yaml
	else
		limactl validate lima.yaml
	fi
fi
exit "$missing"
