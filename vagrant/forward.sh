#!/bin/sh
# forward.sh TARGET [NAME=VALUE...]: copies the sources to the running VM and
# runs make TARGET there. Vagrant's VM if there is one, else Lima's. Ends with
# the status of what it ran.
#
# Plain ssh and rsync with the tool's own ssh configuration: `vagrant rsync`
# and `vagrant ssh` start Ruby twice and log in eight times for the same.
set -eu

cd "$(dirname "$0")"
lima=${LIMA_HOME:-$HOME/.lima}/workshop

die() { printf 'vagrant/forward.sh: %s\n' "$*" >&2; exit 1; }

# quote WORD...: one line that a shell reads back as the same words.
quote() {
	for word in "$@"; do
		printf "'%s' " "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")"
	done
}

# Which VM: config is its ssh configuration, host its name in there.
choose() {
	if ls .vagrant/machines/*/*/id >/dev/null 2>&1; then
		config=.vagrant/ssh-config host=workshop-vm start='vagrant up'
		[ -s "$config" ] || refresh || down
	elif [ -d "$lima" ]; then
		mkdir -p .vagrant
		config=$lima/ssh.config host=lima-workshop start='make lima-up'
	else
		die 'there is no VM yet: vagrant up (or on a Mac: make lima-up)'
	fi
}

# The VM's address changes now and then; Vagrant knows the new one.
refresh() {
	[ "$host" = workshop-vm ] &&
		vagrant ssh-config --host "$host" >"$config.new" 2>/dev/null &&
		mv "$config.new" "$config"
}

down() {
	rm -f .vagrant/ssh-config .vagrant/ssh-config.new
	die "the VM does not answer: $start"
}

# One login for everything that follows. Windows has no sockets to share it.
connect() {
	shared=
	case $(uname -s) in
	MINGW* | MSYS* | CYGWIN*) login true || { refresh && login true; } ;;
	*)
		shared="-o ControlPath=.vagrant/ssh-%C"
		trap 'login -q -O exit 2>/dev/null' EXIT
		trap 'exit 130' HUP INT TERM
		master || { refresh && master; }
		;;
	esac || down
}

# login ARG...: ssh's options and command, the host in front of them.
login() {
	# shellcheck disable=SC2086 # $shared is two words or none
	ssh -F "$config" $shared -o ConnectTimeout=20 "$host" "$@"
}

master() { login -o ControlMaster=yes -f -N 2>/dev/null; }

copy() {
	rsync -a -z -u -e "ssh -F '$config' $shared" "$@" ||
		die 'the sources did not reach the VM: see above'
}

sync() {
	mkdir -p ../work
	copy --delete --exclude=/bin --exclude=/rootfs --exclude=/.cache \
		--exclude=/work --exclude=.vagrant ../ "$host:workshop/"
	copy ../work/ "$host:workshop/work/"
}

# A login shell has the environment that provision.sh wrote.
remote() {
	tty=-T
	[ -t 0 ] && [ -t 1 ] && tty=-t
	login "$tty" "exec bash -lc $(quote "$1")"
}

[ $# -gt 0 ] || die 'which target? make help lists them'
choose
connect
sync
case $1 in
sync) ;;
shell) remote 'cd ~/workshop && exec bash -l' ;;
*) remote "cd ~/workshop && exec make $(quote "$@")" ;;
esac
