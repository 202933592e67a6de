#!/bin/sh
# rootfs.sh [DIR]: make DIR (default: rootfs) a root filesystem of one static
# busybox. Needs no root. The busybox is the first of these that works:
#   BUSYBOX=/path, the one on the machine, the distribution's package.
# OFFLINE=1 leaves the last one out.
set -eu

dir=${1:-rootfs}
version=1                   # raise it when the tree below changes
cache=${CACHE:-.cache}

say() { printf '%s\n' "rootfs: $*" >&2; }
die() { say "$*"; exit 1; }

# A dynamic busybox finds no libraries in a root filesystem of its own.
usable() {
	[ -x "$1" ] && "$1" true 2>/dev/null || return 1
	if ldd "$1" 2>/dev/null | grep -q '=>'; then return 1; fi
	list=$("$1" --list) || return 1
	for applet in sh ps mount id ip nc; do
		echo "$list" | grep -qx "$applet" || return 1
	done
}

# Debian and Ubuntu: the package is downloaded and unpacked, not installed,
# so root is not needed. Without package lists (a bare image) we fetch our own.
from_package() {
	command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
	mkdir -p "$cache" && cache=$(cd "$cache" && pwd)
	if usable "$cache/busybox"; then return 0; fi
	get=$(mktemp -d "$cache/get.XXXXXX")
	say 'downloading the package busybox-static'
	( cd "$get" && chmod 755 . &&
		{ download || download_with_own_lists; } >log 2>&1 &&
		dpkg-deb -x busybox-static_*.deb . ) || {
		sed 's/^/rootfs: apt-get: /' "$get/log" >&2
		rm -rf "$get"; return 1
	}
	for path in "$get/bin/busybox" "$get/usr/bin/busybox"; do
		if [ -x "$path" ]; then mv "$path" "$cache/busybox"; fi
	done
	rm -rf "$get"
	usable "$cache/busybox"
}

# Root's apt would hand the download to the user _apt, who cannot write here.
download() {
	apt-get -q -o APT::Sandbox::User=root "$@" download busybox-static
}

download_with_own_lists() {
	mkdir -p state/lists/partial cache/archives/partial
	set -- -o Dir::State="$PWD/state" -o Dir::Cache="$PWD/cache" \
		-o Dir::State::status=/var/lib/dpkg/status
	apt-get -q -o APT::Sandbox::User=root "$@" update && download "$@"
}

find_busybox() {
	if [ -n "${BUSYBOX:-}" ]; then
		usable "$BUSYBOX" || die "BUSYBOX=$BUSYBOX is not a static busybox" \
			'with sh, ps, mount, id, ip and nc'
		echo "$BUSYBOX"; return
	fi
	for name in busybox busybox-static busybox.static; do
		path=$(command -v "$name") || continue
		if usable "$path"; then echo "$path"; return; fi
	done
	if usable "$cache/busybox"; then echo "$cache/busybox"; return; fi
	why='and OFFLINE=1 forbids to download it'
	if [ -z "${OFFLINE:-}" ]; then
		if from_package; then echo "$cache/busybox"; return; fi
		why='and the package busybox-static could not be downloaded'
	fi
	die "no static busybox on this machine, $why: install busybox-static" \
		'(Debian, Ubuntu, Alpine) or busybox (Fedora, Arch),' \
		'or say where one is: make rootfs BUSYBOX=/path/to/busybox'
}

# The host's name servers, but not those on its loopback: in a network
# namespace of its own the container has another loopback.
resolv_conf() {
	for file in /etc/resolv.conf /run/systemd/resolve/resolv.conf; do
		[ -r "$file" ] || continue
		servers=$(grep '^nameserver' "$file" |
			grep -v -e 'nameserver 127\.' -e 'nameserver ::1') || continue
		echo "$servers"; return
	done
	echo 'nameserver 1.1.1.1'
}

etc_files() {
	cat >"$1/passwd" <<-'END'
		root:x:0:0:root:/root:/bin/sh
		student:x:1000:1000:student:/home/student:/bin/sh
		nobody:x:65534:65534:nobody:/:/bin/false
	END
	cat >"$1/group" <<-'END'
		root:x:0:
		tty:x:5:
		student:x:1000:
		nogroup:x:65534:
	END
	cat >"$1/hosts" <<-'END'
		127.0.0.1	localhost
		::1	localhost
	END
	cat >"$1/profile" <<-'END'
		export PATH=/usr/sbin:/usr/bin:/sbin:/bin
		export PS1='\u@\h:\w\$ '
	END
	echo 'hosts: files dns' >"$1/nsswitch.conf"
	resolv_conf >"$1/resolv.conf"
	cat >"$1/os-release" <<-END
		ID=workshop
		NAME="container workshop"
		VERSION_ID=$version
	END
}

fill() {
	for d in bin sbin usr/bin usr/sbin usr/lib etc proc sys dev tmp root \
		var/tmp home/student mnt run lib; do
		mkdir -p "$1/$d"
	done
	chmod 1777 "$1/tmp" "$1/var/tmp"
	cp "$2" "$1/bin/busybox"
	chmod 755 "$1/bin/busybox"
	# --list-full knows the directories; a busybox built without it has --list.
	{ "$2" --list-full 2>/dev/null || "$2" --list | sed 's:^:bin/:'; } |
		while read -r applet; do
			[ -d "$1/${applet%/*}" ] || continue
			[ -e "$1/$applet" ] || ln -s /bin/busybox "$1/$applet"
		done
	etc_files "$1/etc"
}

umask 022                   # every user of the machine may read it
found=$(sed -n 's/^VERSION_ID=//p' "$dir/etc/os-release" 2>/dev/null) || :
if [ "$found" = "$version" ]; then
	if [ -z "${BUSYBOX:-}" ] || cmp -s "$BUSYBOX" "$dir/bin/busybox"; then
		exit 0
	fi
fi
busybox=$(find_busybox)

# Nobody ever sees half a tree: build it beside the old one, then rename.
parent=$(dirname "$dir")
new=$(mktemp -d "$parent/.rootfs.XXXXXX")
trap 'rm -rf "$new"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$new"
mkdir "$new/new"
fill "$new/new" "$busybox"
if [ -e "$dir" ]; then mv "$dir" "$new/old"; fi
mv -T "$new/new" "$dir" 2>/dev/null || mv "$new/new" "$dir"
say "$dir is ready ($("$busybox" | head -n 1 | cut -d' ' -f1-2))"
