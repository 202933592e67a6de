#!/bin/sh
# The kernel starts this in the initramfs. pivot_root(2) refuses to move that
# root, and so would every step from 03 on: go to a tmpfs first. This is what
# switch_root(8) does, but that one deletes what is left behind, and /suite is
# large enough to be better off where the kernel has unpacked it.
mkdir /new
mount -t tmpfs -o mode=755,size=80% root /new
for d in *; do
	case $d in
	new | init | suite) ;;
	*) mv "$d" /new/ ;;
	esac
done
export PATH=/new/bin:/new/sbin:/new/usr/bin:/new/usr/sbin
busybox=/new/bin/busybox
$busybox mkdir /new/suite
$busybox mount --bind /suite /new/suite
cd /new || exit
$busybox mount --move . /
exec bin/busybox chroot . /sbin/vm-init
