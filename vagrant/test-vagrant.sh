#!/bin/bash
# Proves the Vagrant way from end to end: builds the box from Debian packages,
# gives it to Vagrant under the pinned name through a local catalog, starts
# it with libvirt and QEMU's software emulation, types `make test-stepN` for
# every step, and destroys it.
#
# All of it happens in mount, network and process namespaces of its own: its
# daemons, bridges, firewall rules, pools and boxes end with the last of them,
# also after SIGKILL. The end of the script looks whether that is true.
# shellcheck disable=SC2317 # step and refused call functions by their names
set -eu -o pipefail

usage() {
	cat <<'TEXT'
usage: test-vagrant.sh [STEP...]      (as root; default: every step there is)
  REBUILD=1   build the box although its ingredients have not changed
  CHECKS=0    leave out what must fail (wrong box, no rsync and so on)
  RECORD=1    write the result into README.md
  KEEP=1      keep the logs (their directory is printed)
TEXT
}

# The make in here is typed by a user, not called by ours.
unset MAKEFLAGS MAKELEVEL MFLAGS

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
boxdir=$root/.cache/box

die() { printf 'test-vagrant: %s\n' "$*" >&2; exit 1; }
say() { printf '\n== %s  %s\n' "$(date +%T)" "$*"; }

check_host() {
	[ "$(id -u)" = 0 ] || die 'needs root: sudo make test-vagrant'
	local need='' p
	for p in vagrant:vagrant libvirtd:libvirt-daemon-system ip:iproute2 \
		virsh:libvirt-clients qemu-system-x86_64:qemu-system-x86 \
		qemu-img:qemu-utils dnsmasq:dnsmasq-base rsync:rsync \
		iptables:iptables ssh:openssh-client
	do
		command -v "${p%%:*}" >/dev/null || need="$need ${p#*:}"
	done
	[ -z "$need" ] || die "missing: apt-get install$need"
	vagrant plugin list 2>/dev/null | grep -q vagrant-libvirt ||
		die 'missing: apt-get install vagrant-libvirt'
}

# What may not change on this machine.
host_state() (
	set +e
	ip -o link | sed 's/ qdisc.*//'
	ip route
	cut -d ' ' -f 1-4 /proc/self/mounts
	{ iptables-save; nft list ruleset; } 2>/dev/null | grep -v '^#'
	find /sys/fs/cgroup -type d \( -name 'machine*' -o -name '*qemu*' \)
	cat /proc/sys/net/ipv4/ip_forward
	sha256sum /etc/libvirt/qemu.conf
	ls -A /var/lib/libvirt/images /etc/libvirt/qemu /run/libvirt
	ls -A ~/.vagrant.d/boxes
	for name in libvirtd virtlogd dnsmasq; do pgrep -lx "$name"; done
	true
)

# ---- inside the namespaces ------------------------------------------------

private_dirs() {
	mount --make-rprivate /
	mkdir "$T/etc" "$T/lib" "$T/log" "$T/cache" "$T/run"
	cp -a /etc/libvirt/. "$T/etc/"
	cp -a /var/lib/libvirt/. "$T/lib/"
	mount --bind "$T/etc" /etc/libvirt
	mount --bind "$T/lib" /var/lib/libvirt
	mkdir -p /var/log/libvirt /var/cache/libvirt
	mount --bind "$T/log" /var/log/libvirt
	mount --bind "$T/cache" /var/cache/libvirt
	mount --bind "$T/run" /run
	# libvirt would sort the machine into cgroups of the host.
	mount -t tmpfs none /sys/fs/cgroup
	# It may be there and still not run a stock kernel.
	[ ! -e /dev/kvm ] || mount --bind /dev/null /dev/kvm
	ip link set lo up
	# With a security driver or another user, each machine costs a minute.
	cat >>/etc/libvirt/qemu.conf <<'CONF'
user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = [ ]
CONF
}

daemons() {
	virtlogd -d
	libvirtd -d
	local n
	for n in $(seq 60); do
		virsh -q list >/dev/null 2>&1 && return
		sleep 1
	done
	die "libvirtd does not answer after $n s: see $T/log"
}

tree() {
	rsync -a --exclude=/bin --exclude=/rootfs --exclude=/work \
		--exclude=/.cache --exclude=.vagrant "$root/" "$T/workshop/"
	cd "$T/workshop/vagrant"
}

# One timed line per thing done, with the suite's counts if it is a suite.
results=''
failed=0
step() {
	local name=$1 start=$SECONDS word=ok count
	shift
	say "$name: $*"
	"$@" 2>&1 | tee "$T/last" || { word=FAIL; failed=1; }
	count=$(grep -aE '^[0-9]+ passed, ' "$T/last" | tail -n 1) || true
	results+=$'\n'$(printf '%-5s %4d s  %s' "$word" $((SECONDS - start)) \
		"$name${count:+: $count}")
	[ "$word" = ok ]
}

# refused NAME PATTERN COMMAND...: it must fail, saying one line that matches.
refused() {
	local name=$1 pattern=$2 out
	shift 2
	if out=$("$@" 2>&1); then
		results+=$'\n'"FAIL          not refused: $name"; failed=1
	elif [ "$(wc -l <<<"$out")" = 1 ] && grep -qE "$pattern" <<<"$out"; then
		results+=$'\n'"ok            refused: $name"
		printf '%s\n' "$out"
	else
		results+=$'\n'"FAIL          refused with other words: $name"
		failed=1
		printf '%s\n' "$out"
	fi
}

# Vagrant speaks first here; the last line is ours.
pin_gone() {
	local out
	out=$(env -u BOX_URL vagrant up 2>&1) && return 1
	tail -n 1 <<<"$out" | tee /dev/stderr | grep -q 'BOX_URL='
}

must_refuse() {
	say 'what must be refused, each in one line'
	export VAGRANT_DEFAULT_PROVIDER=libvirt
	refused 'no VM yet' 'vagrant up' ./forward.sh test-step1
	refused 'box missing' 'mkbox.sh' env BOX_URL=/nowhere.json vagrant up
	sed "s/$version/1.0/" "$BOX_URL" >"$T/other.json"
	refused 'wrong box' 'another box' env BOX_URL="$T/other.json" vagrant up
	refused 'wrong provider' 'provider=libvirt' vagrant up \
		--provider=virtualbox
	refused 'no KVM' 'LIBVIRT_DRIVER=qemu' env LIBVIRT_DRIVER=kvm vagrant up
	mkdir -p "$T/path"
	local p
	for p in /usr/bin/* /usr/sbin/*; do
		[ "${p##*/}" = rsync ] || ln -sf "$p" "$T/path/"
	done
	refused 'no rsync' 'install rsync' env PATH="$T/path" vagrant up
	step 'refused: box not to be had' pin_gone || true
	unset VAGRANT_DEFAULT_PROVIDER
}

again() {
	vagrant provision >"$T/provision.log" 2>&1 || return 1
	grep -E '  (ok|set|BAD)  ' "$T/provision.log"
	! grep -qE '  (set|BAD)  ' "$T/provision.log"
}

# What the Makefile of this directory promises: exit status, arguments with
# blanks, work/ in both directions.
forwarding() {
	local status=0
	make no-such-target || status=$?
	[ "$status" != 0 ] || return 1
	mkdir -p ../work/step9
	echo host >../work/step9/file
	make sync
	vagrant ssh -c 'cd workshop/work/step9 && grep host file &&
		echo vm >file && echo vm >other' -- -T
	make sync
	vagrant ssh -c 'cd workshop/work/step9 && grep vm file other' -- -T
	vagrant ssh -c 'rm -r workshop/work/step9' -- -T
	rm -r ../work/step9
}

inside() {
	local s
	private_dirs
	daemons
	tree
	export VAGRANT_HOME=$T/home VAGRANT_CHECKPOINT_DISABLE=1
	export BOX_URL=$boxdir/catalog.json LIBVIRT_DRIVER=qemu OFFLINE=1
	version=$(sed -n 's/^BOX_VERSION = "\(.*\)"/\1/p' Vagrantfile)
	step validate env VAGRANT_DEFAULT_PROVIDER=libvirt vagrant validate
	[ "${CHECKS-1}" = 0 ] || must_refuse
	step up vagrant --no-tty up --provider=libvirt || return 1
	step 'provision again, nothing to do' again || true
	step 'arguments and work/' forwarding || true
	step 'at the root: make doctor VM=1' make -C .. doctor VM=1 || true
	for s in $STEPS; do
		step "make test-step$s" make "test-step$s" || true
	done
	# shellcheck disable=SC2016 # the VM expands it
	guest=$(vagrant ssh -c '. /etc/os-release; echo "$PRETTY_NAME," \
		"Linux $(uname -r), $(go version | cut -d " " -f 3)"' -- -T)
	step destroy vagrant destroy -f || true
	[ -z "$(virsh -q list --all)" ] ||
		{ echo 'FAIL  a machine is left'; failed=1; }
}

report() {
	echo "$(date +%F), $(nproc) processors, software emulation"
	vagrant --version
	echo "vagrant-libvirt $(vagrant plugin list |
		sed -n 's/^vagrant-libvirt (\([^,)]*\).*/\1/p')"
	echo "libvirt $(libvirtd --version | sed 's/.* //')"
	qemu-system-x86_64 --version | head -n 1
	echo "box $(sed -n 's/.*"name": "\([^"]*\)".*/\1/p' "$BOX_URL" |
		head -n 1) $version, $(du -h "$boxdir/workshop.box" | cut -f 1)"
	echo "VM: ${guest:-did not come up}"
	echo "$results"
}

# Everything after the mark is the last result.
record() {
	local readme=$root/vagrant/README.md
	sed '/^<!-- result/q' "$readme" >"$T/readme"
	{ printf '\nThe last result:\n\n```\n'; cat "$T/report"; echo '```'; } \
		>>"$T/readme"
	cat "$T/readme" >"$readme"
}

# ---- outside --------------------------------------------------------------

# The box is built again when an ingredient has changed, not before.
box() {
	local now
	now=$( { grep '^BOX' "$here/Vagrantfile"
		cat "$here/mkbox.sh" "$here/provision.sh" "$root/go.mod" \
			"$root/go.sum"; } | sha256sum)
	if [ "${REBUILD-}" != 1 ] && [ -e "$boxdir/workshop.box" ] &&
		[ "$(cat "$boxdir/inputs" 2>/dev/null)" = "$now" ]
	then
		echo "the box is up to date: $boxdir/workshop.box"
		return
	fi
	"$here/mkbox.sh" -o "$boxdir"
	echo "$now" >"$boxdir/inputs"
}

child=
cleanup() {
	[ -z "$child" ] || kill -9 "$child" 2>/dev/null || true
	rm -f "$T.before" "$T.after"
	if [ "${KEEP-}" = 1 ]; then echo "logs: $T"; else rm -rf "$T"; fi
}

all_steps() {
	local s
	for s in "$root"/step0[0-9]-*/step_test.go; do
		s=${s#"$root"/step0}
		printf '%s ' "${s%%-*}"
	done
}

outside() {
	local status=0
	check_host
	say 'box'
	box
	echo "$SECONDS s"
	T=$(mktemp -d "${TMPDIR:-/var/tmp}/test-vagrant.XXXXXX")
	trap cleanup EXIT
	trap 'exit 1' HUP INT TERM
	host_state >"$T.before" 2>&1
	export T STEPS=${*:-$(all_steps)} INSIDE=1
	unshare --mount --net --pid --ipc --fork --kill-child --mount-proc \
		"$here/test-vagrant.sh" &
	# unshare(1) sits out SIGTERM; its child goes with it (--kill-child).
	child=$!
	wait "$child" || status=$?
	child=
	host_state >"$T.after" 2>&1
	if diff -u "$T.before" "$T.after"; then
		echo 'ok    nothing is left on this machine'
	else
		echo 'FAIL  the machine is not as it was'
		status=1
	fi
	[ "${RECORD-}" != 1 ] || record
	echo "$SECONDS s altogether"
	exit "$status"
}

inside_main() {
	# PID 1 of a namespace dies of nothing that it has not asked for.
	trap 'exit 1' HUP INT TERM
	inside || failed=1
	say 'result'
	report | tee "$T/report"
	exit "$failed"
}

case ${1-} in -h | --help) usage; exit 0 ;; esac
if [ "${INSIDE-}" = 1 ]; then inside_main; else outside "$@"; fi
