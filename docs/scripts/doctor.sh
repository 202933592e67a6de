#!/bin/sh
# doctor.sh: one line a requirement. "missing" ends with the fix and makes the
# exit status 1; "warning" is something a part of the workshop can do without.
# Namespaces, mounts and links are tried, as the caller, not guessed.
set -eu

root=${DOCTOR_ROOT:-}       # tests put files here, before the real ones
rootfs=${ROOTFS:-rootfs}
broken=                     # the steps that cannot run
uid=$(id -u)
who=$(id -un 2>/dev/null) || who=$uid
work=$(mktemp -d "${TMPDIR:-/tmp}/workshop-make-XXXXXX")
export WORKSHOP_MAKE="$work"   # make clean-host: in use
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

ok() { printf 'ok       %-24s %s\n' "$1" "$2"; }
warning() { # NAME TEXT...
	name=$1; shift
	printf 'warning  %-24s %s\n' "$name" "$*"
}
missing() { # STEPS NAME FIX...
	broken="$broken $1" name=$2; shift 2
	printf 'missing  %-24s %s\n' "$name" "$*"
}

have() { command -v "$1" >/dev/null 2>&1; }

file() { # the file to read: the test's, or the machine's
	if [ -e "$root$1" ]; then echo "$root$1"; else echo "$1"; fi
}

value() { cat "$(file "$1")" 2>/dev/null || :; }

as_root() { if [ "$uid" = 0 ]; then echo "$*"; else echo "sudo $*"; fi; }

package() { # NAME...: the command that installs it
	if have apt-get; then as_root apt-get install "$@"
	elif have dnf; then as_root dnf install "$@" "(Debian's names)"
	else echo "install $* (Debian's names)"; fi
}

modprobe_fix() {
	if [ "$place" = container ]; then
		echo "on the host, outside the container: modprobe $1"
	else as_root modprobe "$1"; fi
}

# try FLAGS COMMAND...: run COMMAND in new namespaces, with the rights a step
# has: root's own, or those of root in a user namespace. Keeps the message.
try() {
	flags=$1; shift
	if [ "$uid" != 0 ]; then flags="-U -r $flags"; fi
	# shellcheck disable=SC2086 # the flags are words
	why=$(unshare $flags "$@" 2>&1 >/dev/null) && return 0
	why=$(printf '%s\n' "$why" | head -n 1)
	return 1
}

where_we_are() {
	place=machine
	# The files that Docker and Podman leave; other engines set $container.
	if [ -e "$root/.dockerenv" ] || [ -e "$root/run/.containerenv" ] ||
		[ -n "${container:-}" ]; then
		place=container
		ok place 'in a container: what it forbids needs --privileged or the VM'
	elif value /proc/version | grep -qi microsoft; then
		place=wsl
		if value /proc/version | grep -qi 'wsl2\|microsoft-standard'; then
			ok place 'WSL 2, a real Linux kernel'
		else
			missing '01 02 03 04 05 06 07' place \
				'WSL 1 has no namespaces: wsl --set-version DISTRIBUTION 2'
		fi
	else
		ok place 'not in a container, not WSL'
	fi
}

kernel() {
	release=$(value /proc/sys/kernel/osrelease)
	major=${release%%.*} minor=${release#*.} minor=${minor%%[!0-9]*}
	number=$((major * 1000 + minor))
	if [ $number -lt 5008 ]; then
		missing '01 02 03 04 05 06 07' kernel \
			"$release, 5.8 is needed (setns on a pidfd): make test-vm"
	elif [ $number -lt 5012 ]; then
		missing '03 04 05 06 07' kernel \
			"$release, 5.12 is needed (mount_setattr): make test-vm"
	else
		ok kernel "$release"
	fi
}

rights() {
	if [ "$uid" = 0 ]; then
		if grep -q '^ *0  *0  *4294967295$' /proc/self/uid_map; then
			ok root 'the caller is root'
		else
			warning root 'the caller is root of a user namespace only'
		fi
	elif have sudo; then
		ok root 'sudo: steps 01 to 03 ask for it, the rest runs without'
	else
		missing '01 02 03' root "$who is not root: install sudo or become" \
			'root (su); steps 04 to 07 run without'
	fi
}

# Each switch that distributions use to forbid user namespaces.
user_switches() {
	stop=
	switch /proc/sys/user/max_user_namespaces 0 user.max_user_namespaces=16384
	if [ "$uid" = 0 ]; then return; fi
	switch /proc/sys/kernel/unprivileged_userns_clone 0 \
		kernel.unprivileged_userns_clone=1
	switch /proc/sys/kernel/apparmor_restrict_unprivileged_userns 1 \
		kernel.apparmor_restrict_unprivileged_userns=0
}

switch() { # FILE FORBIDDEN-VALUE SETTING
	name=${3%=*}
	is=$(value "$1")
	if [ -z "$is" ]; then
		ok "$name" 'this kernel does not have the switch'
	elif [ "$is" = "$2" ]; then
		stop=$(as_root sysctl -w "$3")
		missing '04 05 06 07' "$name" "is $is and forbids it: $stop"
	else
		ok "$name" "$is"
	fi
}

# In a chroot the kernel refuses a user namespace (user_namespaces(7)) and
# mount propagation cannot be changed.
in_chroot() {
	[ "$uid" = 0 ] && [ "$(stat -c %d:%i /)" != \
		"$(stat -L -c %d:%i /proc/1/root)" ] 2>/dev/null
}

namespace() { # NAME FLAG STEPS
	forbidden=
	if [ "$1" = user ] || [ "$uid" != 0 ]; then forbidden=$stop; fi
	if try "$2" true; then
		ok "namespace $1" "made one"
	elif [ -n "$forbidden" ]; then
		missing "$3" "namespace $1" "$why: $forbidden"
	elif [ "$place" = container ]; then
		missing "$3" "namespace $1" "$why: docker run --privileged, or the VM"
	elif in_chroot; then
		missing "$3" "namespace $1" "$why: leave the chroot, or make test-vm"
	else
		missing "$3" "namespace $1" "$why: another kernel, or make test-vm"
	fi
}

namespaces() {
	if ! have unshare; then
		missing '01 02 03 04 05 06 07' unshare "$(package util-linux)"
		return
	fi
	namespace uts -u '01 02 03 04 05 06 07'
	namespace ipc -i '02 03 04 05 06 07'
	namespace pid '-p -f' '02 03 04 05 06 07'
	namespace mnt -m '03 04 05 06 07'
	namespace user -U '04 05 06 07'
	namespace net -n '05 06 07'
	namespace cgroup -C '06 07'
	if [ ! -e /proc/self/ns/time ]; then
		warning 'namespace time' 'kernel 5.6 has it: only unshare -T needs it'
	else
		namespace time '-T -f' 07
	fi
	others
}

# Root may always; whether the others may is what step 04 is about.
others() {
	if [ "$uid" != 0 ] || ! have setpriv; then return; fi
	if ! setpriv --reuid 65534 --regid 65534 --clear-groups true 2>/dev/null
	then return; fi
	if why=$(setpriv --reuid 65534 --regid 65534 --clear-groups \
		unshare -U -r true 2>&1); then
		ok 'namespace user, others' 'uid 65534 made one'
	else
		warning 'namespace user, others' "uid 65534: $why: run doctor as a user"
	fi
}

hierarchies() { # "KIND ,CONTROLLER,... PATH", one a line
	while read -r _ _ _ _ path _ rest; do
		case $rest in
		*"- cgroup2 "*)
			names=$(tr ' ' , <"$path/cgroup.controllers")
			echo "v2 ,$names, $path" ;;
		*"- cgroup "*) # the last field is rw,CONTROLLER,...
			echo "v1 ,${rest##* }, $path" ;;
		esac
	done <"$(file /proc/self/mountinfo)"
}

cgroups() {
	hierarchies >"$work/cgroups"
	if [ ! -s "$work/cgroups" ]; then
		missing '06 07' cgroups \
			"not mounted: $(as_root mount -t cgroup2 none /sys/fs/cgroup)"
		return
	fi
	found=0
	for controller in memory cpu cpuset pids io; do
		one_controller "$controller" && found=$((found + 1))
	done
	if [ $found = 0 ]; then
		missing '06 07' cgroups 'no controller at all: use the VM: make test-vm'
	fi
}

one_controller() {
	old=$1
	if [ "$1" = io ]; then old=blkio; fi
	while read -r kind names path; do
		case $kind$names in
		v2*",$1,"* | v1*",$old,"*) ;;
		*) continue ;;
		esac
		if [ "$uid" = 0 ] && [ ! -w "$path" ]; then
			missing '06 07' "cgroup $1" "$path is read-only:" \
				'docker run --privileged, or the VM'
		elif [ -w "$path" ]; then
			ok "cgroup $1" "$kind, $path"
		else
			ok "cgroup $1" "$kind, $path: root can set limits"
		fi
		return 0
	done <"$work/cgroups"
	warning "cgroup $1" 'this kernel does not offer it: its limits are refused'
	return 1
}

overlay() {
	have unshare || return 0
	mkdir -p "$work/m"
	# shellcheck disable=SC2016 # $1 and $2 are for the inner shell
	script='mount -t tmpfs none "$1" && cd "$1" && mkdir l u w m &&
		mount -t overlay -o "lowerdir=l,upperdir=u,workdir=w$2" none m'
	if try -m sh -c "$script" sh "$work/m" ''; then
		ok overlay 'mounted one'
	elif [ "$uid" = 0 ] || ! try -m sh -c "$script" sh "$work/m" ,userxattr
	then
		if in_chroot; then fix='leave the chroot'
		else fix=$(modprobe_fix overlay); fi
		missing 07 overlay "$why: $fix"
	fi
	if [ "$uid" = 0 ] && try '-U -r -m' sh -c "$script" sh "$work/m" ,userxattr
	then
		ok 'overlay, rootless' 'mounted one in a user namespace'
	elif [ "$uid" = 0 ]; then
		warning 'overlay, rootless' "$why: kernel 5.11 or later, or the VM"
	fi
}

network() {
	ip=
	for candidate in ip "busybox ip" "$rootfs/bin/busybox ip"; do
		if have "${candidate%% *}"; then ip=$candidate; break; fi
	done
	for kind in veth bridge; do
		if [ -z "$ip" ]; then
			warning "$kind" "no ip(8) to try it with: $(package iproute2)"
		elif have unshare && try -n sh -c "$ip link add type $kind"; then
			ok "$kind" 'made one'
		elif have unshare; then
			missing '05 06 07' "$kind" "$why: $(modprobe_fix "$kind")"
		fi
	done
	if grep -q nf_tables "$(file /proc/kallsyms)" 2>/dev/null ||
		modprobe -n -q nf_tables 2>/dev/null; then
		ok nf_tables 'the kernel has it'
	else
		missing '05 06 07' nf_tables "$(modprobe_fix nf_tables)"
	fi
}

subids() {
	if ! have newuidmap; then
		warning newuidmap "for --uid-map ranges without root: $(package uidmap)"
	else
		ok newuidmap "$(command -v newuidmap)"
	fi
	if grep -q "^$who:" "$(file /etc/subuid)" 2>/dev/null; then
		ok subuid "$(grep -m 1 "^$who:" "$(file /etc/subuid)")"
	elif [ "$uid" != 0 ]; then
		warning subuid "none for $who: $(as_root usermod --add-subuids \
			100000-165535 --add-subgids 100000-165535 "$who")"
	fi
}

tool() { # NAME PACKAGE WHAT-FOR
	if have "$1"; then ok "$1" "$(command -v "$1")"
	else warning "$1" "$3: $(package "$2")"; fi
}

tools() {
	if [ -x "$rootfs/bin/busybox" ]; then ok rootfs "$rootfs"
	elif have busybox; then ok rootfs 'not yet: make rootfs makes it'
	elif have apt-get; then ok rootfs 'not yet: make rootfs downloads busybox'
	else missing '03 04 05 06 07' rootfs \
		"no busybox: $(package busybox-static), then make rootfs"; fi
	golang
	tool gcc 'gcc libc6-dev' 'for the C programs'
	tool make make 'for everything'
	tool strace strace 'for make trace-stepN'
	tool shellcheck shellcheck 'for make lint'
	tool chromium chromium 'for the tests of pictures'
	tool "qemu-system-$(uname -m)" qemu-system 'for make test-vm'
	if have pasta; then ok pasta "$(command -v pasta)"
	else tool slirp4netns slirp4netns "for a user's network of minidocker"; fi
}

golang() {
	if ! have go; then
		missing '01 02 03 04 05 06 07' go \
			"1.24 or later builds the steps: https://go.dev/dl"
		return
	fi
	version=$(go env GOVERSION)
	minor=${version#go1.} minor=${minor%%[!0-9]*}
	if [ "${minor:-0}" -lt 24 ]; then
		missing '01 02 03 04 05 06 07' go \
			"$version, 1.24 is needed: https://go.dev/dl"
	else
		ok go "$version"
		modules
	fi
}

modules() { # are they on this machine, or would a build have to fetch them?
	if [ ! -e go.mod ]; then return; fi
	if GOPROXY=off go list -deps -test ./... >/dev/null 2>&1; then
		ok 'go modules' "$(go env GOMODCACHE)"
	else
		warning 'go modules' 'not here yet: make build, with a network, or' \
			'GOPROXY (docs/instructor.md)'
	fi
}

where_we_are
kernel
rights
user_switches
namespaces
cgroups
overlay
network
subids
tools
if [ -n "$broken" ]; then
	# shellcheck disable=SC2086 # one word a step
	steps=$(printf '%s\n' $broken | sort -u | tr '\n' ' ')
	echo "These steps cannot run here: ${steps% }"
	exit 1
fi
echo 'Every step can run here.'
