#!/bin/sh
# Makes a Debian or Ubuntu machine ready for the workshop, and says what it
# found. It asks nobody and knows nothing of what started it: Vagrant, Lima,
# mkbox.sh and a person with sudo all run the same file. Safe to run again:
# the second time every line says "ok".
set -eu

usage() {
	cat <<'TEXT'
usage: provision.sh [all|packages|kernel]

  all       packages, then kernel (the default)
  packages  install what is missing
  kernel    look at the running kernel and switch on what it has

These variables are obeyed:
  MIRROR      Debian mirror to install from, such as http://mirror.lan/debian
  GOPROXY     where Go takes modules from, such as http://proxy.lan:3000
  OFFLINE=1   install nothing; fail if something is missing
  LEARNER     whom to give subordinate user IDs (default: who called sudo)
  http_proxy https_proxy no_proxy   for apt, and for Go later on
TEXT
}

# What each package is for stands in README.md.
PACKAGES="golang-go gcc libc6-dev make git busybox-static strace uidmap
iproute2 nftables iputils-ping procps psmisc kmod util-linux libcap2-bin
e2fsprogs passwd rsync sudo curl ca-certificates less
man-db manpages manpages-dev"

# The language version in go.mod.
GO_NEEDED=1.24

# Loaded now and at every start: an ordinary user's container cannot do it.
MODULES="veth bridge nf_tables nft_chain_nat nft_masq overlay"

PROFILE=/etc/profile.d/workshop.sh
SYSCTL=/etc/sysctl.d/60-workshop.conf
LOADED=/etc/modules-load.d/workshop.conf
SWAP=/var/workshop.swap

bad=0
ok()   { printf '  ok    %s\n' "$*"; }
set_() { printf '  set   %s\n' "$*"; }
bad()  { printf '  BAD   %s\n' "$*"; bad=$((bad + 1)); }
die()  { printf 'provision.sh: %s\n' "$*" >&2; exit 1; }

# put FILE TEXT: write only what is not there, so that a second run is silent.
put() {
	[ -e "$1" ] && [ "$(cat "$1")" = "$2" ] && return 1
	mkdir -p "$(dirname "$1")"
	printf '%s\n' "$2" >"$1"
}

# at_least HAVE WANT: compare dotted versions.
at_least() {
	[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]
}

check_system() {
	[ "$(uname -s)" = Linux ] ||
		die 'this is not Linux: run it in the VM (vagrant up)'
	[ "$(id -u)" = 0 ] || die 'needs root: sudo ./provision.sh'
	command -v apt-get >/dev/null ||
		die 'no apt-get: use a Debian 13 box (unset BOX_URL), or install' \
			'by hand:' "$(echo "$PACKAGES" | tr '\n' ' ')"
	case ${1:-all} in all | packages | kernel) ;; *) usage >&2; exit 2 ;; esac
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = 'ii ' ]
}

set_mirror() {
	[ -n "${MIRROR-}" ] || return 0
	# shellcheck source=/dev/null
	. /etc/os-release
	[ "$ID" = debian ] || die "MIRROR is for Debian, this is $ID: unset it"
	list="deb $MIRROR $VERSION_CODENAME main"
	put /etc/apt/sources.list "$list" || { ok "mirror $MIRROR"; return 0; }
	# What the box brought would be asked as well.
	rm -f /etc/apt/sources.list.d/debian.sources
	set_ "mirror $MIRROR"
}

packages() {
	echo 'Packages'
	missing=
	for p in $PACKAGES; do installed "$p" || missing="$missing $p"; done
	set_mirror
	if [ -z "$missing" ]; then
		# shellcheck disable=SC2086 # the words are counted
		ok "$(set -- $PACKAGES; echo $#) packages"
	elif [ "${OFFLINE-}" = 1 ]; then
		die "OFFLINE=1 and these packages are missing:$missing:" \
			'take a box that holds them (mkbox.sh makes one)'
	else
		fetch_packages
	fi
	check_go
	put_profile
	give_subids
}

fetch_packages() {
	export DEBIAN_FRONTEND=noninteractive
	log=$(mktemp)
	# shellcheck disable=SC2086 # the list is meant to be split
	if apt-get update >"$log" 2>&1 &&
		apt-get install -y --no-install-recommends $missing >>"$log" 2>&1
	then
		rm -f "$log"
		set_ "installed$missing"
		return
	fi
	tail -n 5 "$log" >&2
	rm -f "$log"
	die 'apt-get cannot install the packages: no network (set MIRROR or' \
		'http_proxy), or take a box that holds them (mkbox.sh)'
}

check_go() {
	go=$(go version | sed 's/^go version go\([0-9.]*\).*/\1/')
	[ -n "$go" ] || die 'go does not run: is /proc mounted?'
	at_least "$go" "$GO_NEEDED" ||
		die "Go $go is too old, the workshop needs $GO_NEEDED: use a" \
			'Debian 13 box, or install Go from https://go.dev/dl'
	ok "go $go"
}

# A newer toolchain named in a go.mod would be downloaded: what is installed
# has to do. /tmp may be in memory, and step 06 limits disks.
put_profile() {
	text='export GOTOOLCHAIN=local
export TMPDIR=/var/tmp'
	for name in GOPROXY http_proxy https_proxy no_proxy; do
		eval "value=\${$name-}"
		[ -z "$value" ] || text="$text
export $name='$value'"
	done
	if put "$PROFILE" "$text"; then set_ "$PROFILE"; else ok "$PROFILE"; fi
}

# newuidmap(1) maps only what /etc/subuid grants (step 04).
give_subids() {
	who=${LEARNER:-${SUDO_USER:-root}}
	getent passwd "$who" >/dev/null || die "there is no user $who: set LEARNER"
	[ "$who" != root ] || { ok 'subordinate IDs: root needs none'; return 0; }
	if grep -q "^$who:" /etc/subuid && grep -q "^$who:" /etc/subgid; then
		ok "subordinate IDs of $who"
	else
		usermod --add-subuids 100000-165535 --add-subgids 100000-165535 "$who"
		set_ "subordinate IDs of $who"
	fi
}

kernel() {
	echo 'Kernel'
	release=$(uname -r)
	if at_least "${release%%[!0-9.]*}" 5.10; then
		ok "linux $release"
	else
		bad "linux $release is older than 5.10: use a Debian 13 box"
	fi
	for ns in uts pid ipc mnt user net cgroup time; do
		[ -e "/proc/self/ns/$ns" ] ||
			bad "no $ns namespaces: the kernel was built without them"
	done
	[ "$bad" != 0 ] || ok 'all eight namespaces'
	userns
	modules
	controllers
	swap
}

# Three switches of three distributions for the same thing: may an ordinary
# user make a user namespace (step 04)?
userns() {
	text='' before=$bad
	want kernel.unprivileged_userns_clone 1
	want kernel.apparmor_restrict_unprivileged_userns 0
	limit=$(cat /proc/sys/user/max_user_namespaces)
	[ "$limit" -gt 0 ] || want user.max_user_namespaces 15000
	[ -z "$text" ] || put "$SYSCTL" "${text#?}" || true
	[ "$bad" != "$before" ] || ok 'user namespaces for everyone'
}

# want KEY VALUE: now and at the next boot; a kernel without KEY needs nothing.
want() {
	file=/proc/sys/$(echo "$1" | tr . /)
	[ -e "$file" ] || return 0
	text="$text
$1 = $2"
	[ "$(cat "$file")" = "$2" ] && return 0
	if echo "$2" 2>/dev/null >"$file"; then
		set_ "$1 = $2"
	else
		bad "cannot set $1 = $2: do it on the machine itself"
	fi
}

# A driver built into the kernel has no file to load, so what counts is
# whether it works, tried in a network namespace that is gone afterwards.
modules() {
	names=
	for name in $MODULES; do
		! modprobe -q "$name" 2>/dev/null || names="$names $name"
	done
	[ -z "$names" ] ||
		put "$LOADED" "$(echo "${names# }" | tr ' ' '\n')" || true
	works 'veth (step 05)' unshare -n ip link add w0 type veth peer name w1
	works 'bridge (step 05)' unshare -n ip link add w0 type bridge
	works 'NAT by nftables (step 05)' unshare -n nft 'add table ip w;
		add chain ip w c { type nat hook postrouting priority 100; };
		add rule ip w c masquerade'
	works 'overlay (step 07)' grep -qw overlay /proc/filesystems
}

works() {
	what=$1
	shift
	if "$@" >/dev/null 2>&1; then
		ok "$what"
	else
		bad "no $what: boot the distribution's own kernel," \
			"or install linux-modules-extra-$release (Ubuntu)"
	fi
}

controllers() {
	root=/sys/fs/cgroup
	if [ ! -e "$root/cgroup.controllers" ]; then
		ok 'cgroup v1 or hybrid: step 06 uses the v1 side of it'
		return 0
	fi
	have=$(cat "$root/cgroup.controllers")
	for c in cpu cpuset io memory pids; do
		case " $have " in
		*" $c "*) ;;
		*) bad "no cgroup controller $c: boot with cgroup_enable=$c" ;;
		esac
	done
	ok "cgroup v2: $have"
}

# Step 06 limits swap. Only a virtual machine is ours to give it some.
swap() {
	if [ "$(wc -l </proc/swaps)" -gt 1 ]; then
		ok 'swap'
	elif ! systemd-detect-virt -q --vm 2>/dev/null; then
		ok 'no swap: a test of step 06 will be skipped'
	else
		dd if=/dev/zero of="$SWAP" bs=1M count=256 status=none
		chmod 600 "$SWAP"
		mkswap -q "$SWAP"
		if swapon "$SWAP"; then
			echo "$SWAP none swap sw 0 0" >>/etc/fstab
			set_ "swap on $SWAP"
		else
			rm "$SWAP"
			bad "cannot use $SWAP for swap: see above"
		fi
	fi
}

case ${1-} in -h | --help) usage; exit 0 ;; esac
check_system "$@"
case ${1:-all} in
all) packages; kernel ;;
packages) packages ;;
kernel) kernel ;;
esac
[ "$bad" = 0 ] || die "$bad of the lines above say BAD"
echo 'Ready.'
