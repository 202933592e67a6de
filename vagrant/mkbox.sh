#!/bin/sh
# Builds the Vagrant box (provider libvirt, amd64) from Debian packages, so
# that a class can host its own and needs no network in the room: Go, gcc, the
# Go modules and a warm build cache are inside. No loop devices and no
# partition scanning: the file system is written into the image at an offset.
set -eu

usage() {
	cat <<'TEXT'
usage: mkbox.sh [-o DIR]      (as root; DIR is .cache/box when not given)

Writes DIR/workshop.box and DIR/catalog.json, and prints how to use them.
Variables:
  MIRROR   Debian mirror (http://deb.debian.org/debian)
  SUITE    Debian release (trixie)
  SIZE     size of the virtual disk in GiB (8); the file itself is smaller
  BOX_URL_BASE  address that DIR will have on the class's web server
TEXT
}

here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")
MIRROR=${MIRROR:-http://deb.debian.org/debian}
SUITE=${SUITE:-trixie}
SIZE=${SIZE:-8}
out=$root/.cache/box

die() { printf 'mkbox.sh: %s\n' "$*" >&2; exit 1; }
say() { printf '%s  %s\n' "$(date +%T)" "$*"; }

while getopts o:h opt; do
	case $opt in
	o) out=$OPTARG ;;
	h) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
done

# The Vagrantfile holds the only copy of the box's name and version.
pin() { sed -n "s/^$1 *= *['\"]\(.*\)['\"].*/\1/p" "$here/Vagrantfile"; }

check_host() {
	[ "$(id -u)" = 0 ] || die 'needs root (mmdebstrap, mke2fs -d): use sudo'
	[ "$(uname -m)" = x86_64 ] ||
		die 'builds amd64 boxes only: on arm64 use lima.yaml'
	need=
	for p in mmdebstrap:mmdebstrap qemu-img:qemu-utils \
		grub-mkimage:grub-common sfdisk:fdisk mke2fs:e2fsprogs rsync:rsync
	do
		command -v "${p%%:*}" >/dev/null || need="$need ${p#*:}"
	done
	[ -e /usr/lib/grub/i386-pc/boot.img ] || need="$need grub-pc-bin"
	[ -z "$need" ] || die "missing: apt-get install$need"
}

# The keys everyone knows. Vagrant replaces them at the first start unless
# told not to (config.ssh.insert_key).
KEY='ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIN1YdxBpNlzxDqfJyw/QKow1F+wvG9'\
'hXGoqiysfJOn5Y vagrant insecure public key'
KEYRSA='ssh-rsa AAAAB3NzaC1yc2EAAAABIwAAAQEA6NF8iallvQVp22WDkTkyrtvp9eWW'\
'6A8YVr+kz4TjGYe7gHzIw+niNltGEFHzD8+v1I2YJ6oXevct1YeS0o9HZyN1Q9qgCgzUFt'\
'dOKLv6IedplqoPkcmF0aYet2PkEDo3MlTBckFXPITAMzF8dJSIFo9D8HfdOV0IAdx4O7Pt'\
'ixWKn5y2hMNG0zQPyUecp4pzC6kivAIhyfHilFR61RGL+GPXQ2MWZWFYbAGjyiYJnAmCP3'\
'NOTd0jMZEnDkbUvxhMmBYSdETk1rRgm+R4LOzFUGaHqHDLKLX+FIPKcF96hrucXzcWyLbI'\
'bEgE98OHlnVYCzRdK8jlqm8tehUc9c9WhQ== vagrant insecure public key'

# Runs inside the new system (mmdebstrap's customize hook).
in_box() {
	cat <<'TEXT'
set -eu
echo workshop >/etc/hostname
printf '127.0.0.1 localhost workshop\n::1 localhost\n' >/etc/hosts
echo 'LABEL=workshop / ext4 defaults,noatime 0 1' >/etc/fstab
mkdir -p /etc/systemd/network
printf '[Match]\nType=ether\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\n' \
	>/etc/systemd/network/box.network
# A class room has no name server to wait for.
printf '[DHCPv4]\nClientIdentifier=mac\n' >>/etc/systemd/network/box.network
systemctl -q enable systemd-networkd systemd-resolved ssh
useradd -m -s /bin/bash vagrant
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/vagrant
install -d -m 700 -o vagrant -g vagrant /home/vagrant/.ssh
install -m 600 -o vagrant -g vagrant /root/keys \
	/home/vagrant/.ssh/authorized_keys
rm /root/keys
printf 'UseDNS no\nGSSAPIAuthentication no\n' \
	>/etc/ssh/sshd_config.d/vagrant.conf
# Host keys are made at the first start: a box's are no secret.
rm -f /etc/ssh/ssh_host_*_key*
cat >/etc/systemd/system/hostkeys.service <<'UNIT'
[Unit]
Before=ssh.service
ConditionPathExists=!/etc/ssh/ssh_host_ed25519_key
[Service]
Type=oneshot
ExecStart=/usr/bin/ssh-keygen -q -t ed25519 -N "" \
	-f /etc/ssh/ssh_host_ed25519_key
[Install]
WantedBy=multi-user.target
UNIT
systemctl -q enable hostkeys
LEARNER=vagrant sh /root/provision.sh packages
rm /root/provision.sh
mkdir -p /boot/grub
# Nothing that wakes up by itself while a test measures something.
systemctl -q disable systemd-networkd-wait-online.service apt-daily.timer \
	apt-daily-upgrade.timer man-db.timer e2scrub_all.timer fstrim.timer
TEXT
}

# The kernel's and the initrd's names without a version: Debian keeps these
# two links, so that a kernel upgrade needs no new menu.
grub_cfg() {
	cat <<'TEXT'
linux /vmlinuz root=LABEL=workshop console=tty0 console=ttyS0 quiet
initrd /initrd.img
boot
TEXT
}

# Fetches the modules and compiles everything once: the first `make
# test-step1` in the VM then compiles only what the learner changed.
warm() {
	cat <<'TEXT'
set -eu
cd "$HOME/workshop"
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
go mod download
tags='-trimpath -tags urfave_cli_no_docs'
go build $tags std ./... || echo 'box: the build cache is not complete'
go vet $tags ./... || true
for d in ./*/ ; do
	ls "$d"*_test.go >/dev/null 2>&1 || continue
	go test -c $tags -o /dev/null "$d" || true
	go test -c -tags urfave_cli_no_docs -o /dev/null "$d" || true
done
TEXT
}

build_tree() {
	in_box >"$tmp/in_box"
	warm >"$tmp/warm"
	printf '%s\n%s\n' "$KEYRSA" "$KEY" >"$tmp/keys"
	mkdir "$tmp/workshop"
	rsync -a --exclude=/.git --exclude=/bin --exclude=/rootfs \
		--exclude=/work --exclude=/.cache --exclude=.vagrant \
		"$root/" "$tmp/workshop/"
	ca=/etc/ssl/certs/ca-certificates.crt
	mmdebstrap --quiet --mode=root --variant=apt \
		--aptopt='Acquire::Languages "none"' \
		--aptopt='Acquire::Retries "3"' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--include="linux-image-cloud-amd64 initramfs-tools systemd-sysv \
			systemd-resolved dbus udev openssh-server sudo rsync ifupdown- \
			e2fsprogs ca-certificates" \
		--customize-hook="upload '$here/provision.sh' /root/provision.sh" \
		--customize-hook="upload '$tmp/keys' /root/keys" \
		--customize-hook="chroot \"\$1\" sh -s <'$tmp/in_box'" \
		--customize-hook="mkdir -p \"\$1/home/vagrant/workshop\"" \
		--customize-hook="sync-in '$tmp/workshop' /home/vagrant/workshop" \
		--customize-hook="cp '$ca' \"\$1/tmp/ca\"" \
		--customize-hook="chroot \"\$1\" chown -R vagrant: /home/vagrant" \
		--customize-hook="chroot \"\$1\" su - vagrant -c \
			\"SSL_CERT_FILE=/tmp/ca GOPROXY=${GOPROXY-} sh -s\" <'$tmp/warm'" \
		--customize-hook="rm -rf \"\$1/tmp/ca\" \"\$1/home/vagrant/workshop\"" \
		"$SUITE" "$tmp/tree" "$MIRROR" ||
		die "mmdebstrap failed on $MIRROR: set MIRROR to one that answers"
	ln -sf ../run/systemd/resolve/stub-resolv.conf "$tmp/tree/etc/resolv.conf"
	grub_cfg >"$tmp/tree/boot/grub/grub.cfg"
}

# One partition from 1 MiB on; GRUB sits in front of it.
build_image() {
	raw=$tmp/box.raw
	truncate -s "${SIZE}G" "$raw"
	echo 'start=2048, type=83, bootable' | sfdisk -q "$raw"
	mke2fs -q -t ext4 -L workshop -d "$tmp/tree" \
		-E offset=1048576,lazy_itable_init=1 -O ^metadata_csum_seed \
		"$raw" "$((SIZE * 1024 * 1024 - 1024))"
	grub-mkimage -O i386-pc -p '(hd0,msdos1)/boot/grub' \
		-o "$tmp/core.img" biosdisk part_msdos ext2 normal linux configfile
	boot=/usr/lib/grub/i386-pc/boot.img
	# boot.img ends where the partition table begins; it looks for core.img
	# in the next sector.
	dd if="$boot" of="$raw" bs=440 count=1 conv=notrunc status=none
	dd if="$tmp/core.img" of="$raw" bs=512 seek=1 conv=notrunc status=none
	qemu-img convert -O qcow2 "$raw" "$tmp/box.img"
	rm "$raw"
}

build_box() {
	printf '{"provider":"libvirt","format":"qcow2","virtual_size":%s}\n' \
		"$SIZE" >"$tmp/metadata.json"
	echo 'Vagrant.configure("2") { |c| c.ssh.username = "vagrant" }' \
		>"$tmp/Vagrantfile"
	tar -C "$tmp" -cf - metadata.json Vagrantfile box.img |
		gzip -1 >"$out/workshop.box.new"
	mv "$out/workshop.box.new" "$out/workshop.box"
}

# A catalog under the name and version that the Vagrantfile pins: with it
# `vagrant up` needs no registry (BOX_URL=.../catalog.json).
build_catalog() {
	sum=$(sha256sum "$out/workshop.box" | cut -d ' ' -f 1)
	base=${BOX_URL_BASE:-file://$out}
	cat >"$out/catalog.json" <<TEXT
{ "name": "$(pin BOX)",
  "versions": [ { "version": "$(pin BOX_VERSION)",
    "providers": [ { "name": "libvirt",
      "architecture": "amd64", "default_architecture": true,
      "url": "$base/workshop.box",
      "checksum_type": "sha256", "checksum": "$sum" } ] } ] }
TEXT
}

check_host
[ -n "$(pin BOX)" ] || [ -n "$(pin BOX_VERSION)" ] ||
	die 'the Vagrantfile names no BOX and BOX_VERSION: restore these two lines'
mkdir -p "$out"
out=$(cd "$out" && pwd)
tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/mkbox.XXXXXX")
trap 'rm -rf "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
say "Debian $SUITE from $MIRROR"
build_tree
say "disk image ($(du -sh "$tmp/tree" | cut -f 1) of files)"
build_image
say 'box'
build_box
build_catalog
say "done: $(du -h "$out/workshop.box" | cut -f 1) $out/workshop.box"
echo "use it: BOX_URL=$out/catalog.json vagrant up --provider=libvirt"
