#!/bin/sh
# mkbase.sh KERNEL DIR: make DIR/vmlinuz and DIR/base.cpio, the system of the
# test VM: the pinned kernel, the few modules that the suites need, busybox,
# and newuidmap with its libraries. The same pins give the same bytes.
set -eu
umask 022

here=$(cd "$(dirname "$0")" && pwd)
kernel=$1
mkdir -p "$2"
out=$(cd "$2" && pwd)
debs=${CACHE:-$here/../../.cache/vm}/debs

# What a module needs is added by modprobe(8). They are loaded by the kernel
# itself when first used, as on any Debian: nothing preloads them.
modules="virtio_pci virtio_blk overlay loop tun dummy fuse
	veth bridge macvlan unix_diag netlink_diag binfmt_misc
	nf_tables nfnetlink nft_chain_nat nft_nat nft_masq nft_redir nft_ct
	nft_fib nft_fib_inet nft_fib_ipv4 nft_fib_ipv6 nft_reject_inet
	nft_limit nft_log nft_hash nft_numgen nft_compat nf_conntrack
	nf_conntrack_netlink xt_conntrack xt_MASQUERADE xt_nat xt_addrtype
	xt_comment xt_tcpudp xt_mark"

die() {
	echo "test-vm: $*" >&2
	exit 2
}

for tool in dpkg-deb:dpkg modprobe:kmod depmod:kmod cpio:cpio xz:xz-utils; do
	# kmod's programs are in sbin, which is not on everyone's PATH.
	PATH=$PATH:/usr/sbin:/sbin command -v "${tool%:*}" >/dev/null ||
		die "${tool%:*} is missing: apt-get install ${tool#*:}"
done
PATH=$PATH:/usr/sbin:/sbin

tmp=$(mktemp -d "$out/tmp.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
root=$tmp/root
all=$tmp/all
mkdir -p "$root" "$all"

# deb GROUP PATTERN DIR: unpack the group's package into DIR.
deb() {
	file=$(awk -v g="$1" -v p="$2" '$1 == g && $2 ~ p { print $5 }' \
		"${PINS:-$here/pins}")
	dpkg-deb -x "$debs/${file##*/}" "$3"
}

# --- kernel and modules -----------------------------------------------------
deb "$kernel" '^linux-image-' "$all"
version=$(ls "$all/lib/modules")
# Unpacked once here, they load faster under emulation.
find "$all/lib/modules" -name '*.ko.xz' -print0 | xargs -0 -r -n 200 xz -d
depmod -b "$all" "$version"
lib=lib/modules/$version
mkdir -p "$root/$lib"
for m in $modules; do
	modprobe -d "$all" -S "$version" --show-depends "$m" ||
		die "module $m is not in $version: change the list in mkbase.sh"
done >"$tmp/insmod"
sed -n "s|^insmod .*/$lib/\([^ ]*\).*|\1|p" "$tmp/insmod" | sort -u |
	while read -r ko; do
		mkdir -p "$root/$lib/$(dirname "$ko")"
		cp "$all/$lib/$ko" "$root/$lib/$ko"
	done
cp "$all/$lib/modules.builtin" "$all/$lib/modules.builtin.modinfo" \
	"$all/$lib/modules.order" "$root/$lib/"
depmod -b "$root" "$version" 2>/dev/null
rm -f "$root/$lib"/*.bin

# --- programs ---------------------------------------------------------------
for p in busybox-static uidmap libc6 libaudit1 libselinux1 libcap-ng0 \
	libpcre2-8-0; do
	deb tools "^$p\$" "$all"
done
cd "$root"
mkdir -p bin sbin usr/bin usr/sbin usr/local/bin lib64 etc proc sys dev run \
	tmp root home/student var/tmp var/log mnt opt srv lib/x86_64-linux-gnu
cp "$all/bin/busybox" bin/busybox
bin/busybox --list-full | while read -r applet; do
	[ -e "$applet" ] || ln -s /bin/busybox "$applet"
done
cp "$all/usr/bin/newuidmap" "$all/usr/bin/newgidmap" usr/bin/
chmod 4755 usr/bin/newuidmap usr/bin/newgidmap
for l in libaudit libselinux libcap-ng libpcre2-8 libc; do
	find "$all/lib" "$all/usr/lib" -path '*/x86_64-linux-gnu/*' \
		-name "$l.so.*" -exec cp -P {} lib/x86_64-linux-gnu/ \;
done
cp -L "$all/lib64/ld-linux-x86-64.so.2" lib64/

# --- files ------------------------------------------------------------------
cp "$here/initramfs.sh" init
cp "$here/vm-init.sh" sbin/vm-init
chmod 755 init sbin/vm-init
cat >etc/passwd <<-'END'
	root:x:0:0:root:/root:/bin/sh
	student:x:1000:1000:student:/home/student:/bin/sh
	nobody:x:65534:65534:nobody:/:/bin/false
END
cat >etc/group <<-'END'
	root:x:0:
	tty:x:5:
	student:x:1000:
	nogroup:x:65534:
END
echo 'student:100000:65536' >etc/subuid
echo 'student:100000:65536' >etc/subgid
echo '127.0.0.1 localhost workshop-vm' >etc/hosts
: >etc/resolv.conf
echo 'workshop-vm' >etc/hostname

find . -exec touch -h -d @0 {} +
find . | LC_ALL=C sort |
	cpio --quiet -o -H newc -R 0:0 --reproducible >"$tmp/base.cpio"
cp "$all/boot/vmlinuz-$version" "$tmp/vmlinuz"
mv "$tmp/vmlinuz" "$tmp/base.cpio" "$out/"
