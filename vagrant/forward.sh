#!/bin/sh
# forward.sh TARGET [NAME=VALUE...]: copies the sources to the running VM and
# runs make TARGET there. Vagrant's VM if there is one, else Lima's. Ends with
# the status of what it ran.
set -eu

cd "$(dirname "$0")"

die() { printf 'vagrant/forward.sh: %s\n' "$*" >&2; exit 1; }

# quote WORD...: one line that a shell reads back as the same words.
quote() {
	for word in "$@"; do
		printf "'%s' " "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")"
	done
}

vagrant_sync() {
	# Its report says which folder goes where: of interest once, not always.
	log=$(vagrant rsync 2>&1) || {
		printf '%s\n' "$log" >&2
		die 'the VM does not answer: vagrant up'
	}
}

vagrant_run() {
	tty=-T
	[ -t 0 ] && [ -t 1 ] && tty=-t
	vagrant ssh -c "$1" -- "$tty"
}

lima_sync() {
	config=${LIMA_HOME:-$HOME/.lima}/workshop/ssh.config
	mkdir -p ../work
	lima_rsync --delete --exclude=/bin --exclude=/rootfs --exclude=/.cache \
		--exclude=/work --exclude=.vagrant ../ lima-workshop:workshop/
	lima_rsync ../work/ lima-workshop:workshop/work/
}

lima_rsync() {
	rsync -a -z -u -e "ssh -F '$config'" "$@" ||
		die 'the VM does not answer: make lima-up'
}

lima_run() { limactl shell --workdir / workshop bash -lc "$1"; }

# A directory per machine is what both tools leave while one exists.
if ls .vagrant/machines/*/*/id >/dev/null 2>&1; then
	tool=vagrant
elif [ -d "${LIMA_HOME:-$HOME/.lima}/workshop" ]; then
	tool=lima
else
	die 'there is no VM yet: vagrant up (or on a Mac: make lima-up)'
fi

[ $# -gt 0 ] || die 'which target? make help lists them'
"${tool}_sync"
case $1 in
sync) ;;
shell) "${tool}_run" 'cd ~/workshop && exec bash -l' ;;
*) "${tool}_run" "cd ~/workshop && exec make $(quote "$@")" ;;
esac
