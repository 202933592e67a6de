#!/bin/sh
# PID 1 of the test VM: make the machine look as systemd would, run the suite
# in /suite, and say on the second serial port how it went:
#   boot SECONDS    uptime when the suite starts
#   exit CODE       its exit status
#   end SECONDS     uptime then
# The host (test-vm.sh) reads that; the console is for people.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root TERM=linux
cd /

mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t devtmpfs -o nosuid,mode=755 dev /dev
mkdir -p /dev/pts /dev/shm /dev/mqueue
mount -t devpts -o nosuid,noexec,gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev,mode=1777 shm /dev/shm
mount -t mqueue -o nosuid,nodev,noexec mqueue /dev/mqueue
mount -t tmpfs -o nosuid,nodev,mode=755 run /run
ln -sf /proc/self/fd /dev/fd
ln -sf fd/0 /dev/stdin
ln -sf fd/1 /dev/stdout
ln -sf fd/2 /dev/stderr
exec </dev/null >/dev/console 2>&1
stty -F /dev/ttyS0 raw -echo
stty -F /dev/ttyS1 raw -echo

status() { echo "$*" >/dev/ttyS1; }

quit() {
	[ -z "$1" ] || echo "vm: $1"
	sync
	poweroff -f
	sleep 60
}

# Shared, as systemd leaves it: a program that forgets to make its mounts
# private is seen on the host.
mount --make-rshared /

# cgroup v2 and nothing else. Only these two controllers are on below the
# root, as with systemd: a program must enable the others itself.
mount -t cgroup2 -o nosuid,nodev,noexec,nsdelegate cgroup2 /sys/fs/cgroup
echo '+memory +pids' >/sys/fs/cgroup/cgroup.subtree_control
mkdir -p /sys/fs/cgroup/user.slice/session.scope
echo $$ >/sys/fs/cgroup/user.slice/session.scope/cgroup.procs

# The disk is a real file system on a real block device, for overlay and for
# io limits; the other one is swap.
modprobe virtio_pci
modprobe virtio_blk
mount -t ext4 -o nosuid,nodev /dev/vda /tmp || quit "cannot mount the disk"
chmod 1777 /tmp
mkswap /dev/vdb >/dev/null
swapon /dev/vdb || quit "cannot use the swap"

hostname workshop-vm
ip link set lo up
chown -R 1000:1000 /home/student

[ -e /suite/env ] || quit "nothing to run: /suite/env is missing"
# shellcheck disable=SC1091 # written by test-vm.sh: SUITE, DIR, RUN, LIMIT
. /suite/env

# The test binary runs in an empty directory, as root. A suite that hangs is
# stopped by its own timer, which shows where; if that hangs too, by us.
mkdir -p /tmp/scratch
cd /tmp/scratch || quit "no scratch directory"
export STRICT=1 TMPDIR=/tmp ROOTFS=/suite/rootfs STEP_BIN="/suite/$SUITE"
export STEP_C=/suite/c
rmdir /suite/c 2>/dev/null && unset STEP_C
# Where final/ is tested it looks like the repository: DIR, rootfs, testdata.
case $DIR in
docs)
	export REPO=/suite/repo BIN=/suite ONLY=cgroup2
	RUN=${RUN:-TestTranscripts}
	;;
final*)
	export MINIDOCKER=/suite/minidocker MINIRUNC=/suite/minidocker
	ln -s /suite/rootfs rootfs
	mkdir -p "$DIR"
	cd "$DIR" || quit "no $DIR"
	[ ! -d /suite/testdata ] || cp -r /suite/testdata .
	;;
esac
read -r uptime _ </proc/uptime
status "boot $uptime"
echo "=== suite $SUITE"
timeout -s KILL $((LIMIT + 15)) /suite/test -test.v \
	-test.timeout="${LIMIT}s" ${RUN:+-test.run "$RUN"} 2>&1
code=$?
echo "=== end"
status "exit $code"
read -r uptime _ </proc/uptime
status "end $uptime"
quit ""
