#!/bin/sh
# fetch.sh GROUP...        download the pinned packages of these groups
# fetch.sh --pin GROUP...  move the pins of these groups to the newest versions
#
# The pins are in the file beside this script: one line a package, with its
# version and checksum. Nothing is installed and nothing needs root: a .deb is
# only downloaded to $CACHE, checked, and unpacked by mkbase.sh.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
pins=${PINS:-$here/pins}
cache=${CACHE:-$here/../../.cache/vm}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

die() {
	echo "test-vm: $*" >&2
	exit 2
}

# The mirror: $DEBIAN_MIRROR, else the one that apt uses here, else Debian's
# public name. Ubuntu's mirrors hold other packages, so the origin counts.
mirror() {
	m=${DEBIAN_MIRROR:-}
	# shellcheck disable=SC2016 # apt expands these, not the shell
	[ -n "$m" ] || m=$(apt-get indextargets \
		--format '$(ORIGIN)/$(LABEL) $(REPO_URI)' 'Created-By: Packages' \
		2>/dev/null | sed -n 's|^Debian/Debian ||p' | head -n 1)
	m=${m:-http://deb.debian.org/debian}
	echo "${m%/}"
}

# download URL FILE: whatever is at hand; apt's helper knows apt's proxy.
download() {
	rm -f "$2"
	if [ -x /usr/lib/apt/apt-helper ]; then
		/usr/lib/apt/apt-helper -qq -o APT::Sandbox::User= \
			download-file "$1" "$2" 2>"$2.log" >&2 && rm -f "$2.log"
	elif command -v curl >/dev/null; then
		curl -fsSL -o "$2" "$1" 2>"$2.log" && rm -f "$2.log"
	else
		wget -q -O "$2" "$1" 2>"$2.log" && rm -f "$2.log"
	fi
}

sum() { sha256sum "$1" | cut -d ' ' -f 1; }

# index SUITE: the suite's package list, checked against Debian's signature.
# Its name carries the day, so that a list is fetched at most once a day.
index() {
	list=$cache/Packages.$1.$(date +%Y%m%d)
	if [ ! -s "$list" ] || [ -n "${DEBIAN_MIRROR:-}" ]; then
		rm -f "$cache/Packages.$1."*
		url=$(mirror)/dists/$1
		download "$url/InRelease" "$cache/InRelease" ||
			die "cannot read $url/InRelease: set DEBIAN_MIRROR to a mirror"
		verify "$cache/InRelease"
		f=main/binary-amd64/Packages.xz
		download "$url/$f" "$cache/Packages.xz" ||
			die "cannot read $url/$f: set DEBIAN_MIRROR to a mirror"
		want=$(awk -v f="$f" '$3 == f && length($1) == 64 { print $1 }' \
			"$cache/InRelease")
		[ "$(sum "$cache/Packages.xz")" = "$want" ] ||
			die "$url/$f: checksum differs from InRelease: try again later"
		xz -dc "$cache/Packages.xz" >"$list.part"
		mv "$list.part" "$list"
	fi
	echo "$list"
}

verify() {
	[ -z "${UNSIGNED:-}" ] || return 0
	if [ ! -e "$keyring" ] || ! command -v gpgv >/dev/null; then
		die "cannot check Debian's signature: apt-get install gpgv" \
			"debian-archive-keyring (or UNSIGNED=1 to go without)"
	fi
	gpgv -q --keyring "$keyring" "$1" 2>/dev/null ||
		die "$1: not signed by Debian: use another DEBIAN_MIRROR"
}

# newest GROUP PACKAGE SUITE: "package version path sha256" of the newest
# version. A kernel's package name holds its version, so any name will do that
# belongs to the group: linux-image-6.12.95+deb12-cloud-amd64 for 6.12.
newest() {
	case $1 in
	tools) re="^$2\$" ;;
	*) re="^linux-image-$1[.][0-9].*-cloud-amd64\$" ;;
	esac
	list=$(index "$3") || exit
	awk -v re="$re" '
		/^Package: /  { p = $2 }
		/^Version: /  { v = $2 }
		/^Filename: / { f = $2 }
		/^SHA256: /   { s = $2 }
		/^$/          { if (p ~ re && f) print p, v, f, s; f = "" }
		END           { if (p ~ re && f) print p, v, f, s }
	' "$list" | sort -k2,2V | tail -n 1
}

# get GROUP PACKAGE VERSION SUITE PATH SHA256
get() {
	deb=$cache/debs/${5##*/}
	[ -s "$deb" ] && [ "$(sum "$deb")" = "$6" ] && return
	[ -n "${QUIET:-}" ] || echo "test-vm: downloading $2 $3" >&2
	if ! download "$(mirror)/$5" "$deb.part"; then
		new=$(newest "$1" "$2" "$4") || exit
		new=${new#* }
		new=${new%% *}
		case $new in
		'') die "$2 $3 cannot be read from $(mirror), and $4 has no other:" \
			"set DEBIAN_MIRROR, or another suite in vagrant/qemu/pins" ;;
		"$3") die "$2 $3 cannot be read from $(mirror), which lists it:" \
			"set DEBIAN_MIRROR to another mirror, or try again later" ;;
		*) die "$2 $3 has left the archive, $4 now has $new:" \
			"make test-vm-pin KERNEL=$1" ;;
		esac
	fi
	got=$(sum "$deb.part")
	[ "$got" = "$6" ] || {
		rm -f "$deb.part"
		die "$2 $3: sha256 is $got, pinned is $6:" \
			"use another DEBIAN_MIRROR"
	}
	mv "$deb.part" "$deb"
}

# pin GROUP: rewrite the group's lines.
pin() {
	while read -r group package version suite path sha; do
		if [ "$group" != "$1" ]; then
			echo "$group $package $version $suite $path $sha" |
				sed 's/ *$//'
			continue
		fi
		new=$(newest "$group" "$package" "$suite") || exit
		[ -n "$new" ] || die "$suite has no package for $group $package"
		echo "$new" | while read -r p v f s; do
			echo "$group $p $v $suite $f $s"
			[ "$v" = "$version" ] && what="is newest" || what="was $version"
			echo "test-vm: $p $v ($what)" >&2
		done
	done <"$pins" >"$cache/pins.new"
	cp "$cache/pins.new" "$pins"
}

mkdir -p "$cache/debs"
if [ "${1:-}" = --pin ]; then
	shift
	for g; do
		grep -q "^$g " "$pins" || die "no group $g in $pins"
		pin "$g"
	done
	exit
fi
for g; do
	grep -q "^$g " "$pins" ||
		die "KERNEL=$g is not pinned: vagrant/qemu/pins has" \
			"$(grep -o '^[0-9][0-9.]*' "$pins" | sort -uV | tr '\n' ' ')"
	while read -r group package version suite path sha; do
		[ "$group" != "$g" ] ||
			get "$group" "$package" "$version" "$suite" "$path" "$sha"
	done <"$pins"
done
