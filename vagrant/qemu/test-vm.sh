#!/bin/bash
# test-vm.sh [STEP...]: run the suites of these steps (a number, or a directory
# with a Go test; default: every step) in a virtual machine, once per kernel.
#
#   KERNEL="6.1 6.12"   which of the pinned kernels
#   RUN=REGEXP          only the tests that match
#   VM_KVM=1            use /dev/kvm instead of software emulation
#   VM_MEMORY=1024      MiB
#   SUITE_TIMEOUT=300   seconds for one suite
#   VM_TIMEOUT=1800     seconds for the whole machine
#
# Exit status: 0 all passed, 1 a test failed, 2 something is missing or the
# machine did not start, 3 the kernel panicked, 4 a suite or the machine hung.
# With two kernels it is the higher one.
set -eu
umask 022

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
counts=$top/docs/scripts/counts.awk
pins=${PINS:-$here/pins}
export CACHE="$top/.cache/vm"
export PATH=$PATH:/usr/sbin:/sbin
QEMU=${QEMU:-qemu-system-x86_64}
SUITE_TIMEOUT=${SUITE_TIMEOUT:-300}
VM_TIMEOUT=${VM_TIMEOUT:-1800}

die() {
	echo "test-vm: $*" >&2
	exit 2
}

need() { # PROGRAM PACKAGE
	command -v "$1" >/dev/null || die "$1 is missing: apt-get install $2"
}

# suites ARG...: the directories, as paths from the top.
suites() {
	local a d
	if [ $# = 0 ]; then
		for d in step[0-9][0-9]-*/; do
			compgen -G "${d}*_test.go" >/dev/null && echo "${d%/}"
		done
		return
	fi
	for a; do
		case $a in
		[0-9] | [0-9][0-9])
			d=$(compgen -G "step$(printf %02d "$((10#$a))")-*") ||
				die "there is no step $a"
			;;
		*) d=${a%/} ;;
		esac
		compgen -G "$d/*_test.go" >/dev/null || die "$d has no test"
		echo "$d"
	done
}

# build DIR...: programs, C programs and test binaries, and the cpio of them.
# The root Makefile knows how each program is built.
build() {
	local d c name targets=()
	rm -rf "$work/suite"
	mkdir -p "$work/suite/tests" "$work/suite/bin/c"
	for d; do
		[ -e "$d/main.go" ] && targets+=("bin/$d")
		for c in "$d"/c/*.c; do
			[ ! -e "$c" ] || targets+=("bin/c/$d/$(basename "$c" .c)")
		done
	done
	make --no-print-directory -s "${targets[@]}" rootfs >&2 ||
		die "the build failed: see above"
	for d; do
		name=$(basename "$d")
		[ ! -e "$d/main.go" ] || cp "bin/$d" "$work/suite/bin/"
		[ ! -d "bin/c/$d" ] || cp -r "bin/c/$d" "$work/suite/bin/c/"
		CGO_ENABLED=0 go test -c -vet=off -trimpath -ldflags=-s \
			-o "$work/suite/tests/$name.test" "./$d" ||
			die "the tests in $d do not build: see above"
	done
	cp -r rootfs "$work/suite/rootfs"
	chmod -R go+rX "$work/suite"
	cat >"$work/suite/env" <<-END
		SUITES='${names//$'\n'/ }'
		RUN='${RUN:-}'
		LIMIT=$SUITE_TIMEOUT
		KVM=${VM_KVM:-}
	END
	(cd "$work" && find suite | LC_ALL=C sort |
		cpio --quiet -o -H newc -R 0:0 --reproducible >suite.cpio)
	rm -rf "$work/suite"
}

# base KERNEL: the machine's system, made anew when a part of it changed.
base() {
	local sum
	QUIET='' "$here/fetch.sh" "$1" tools
	sum=$(cd "$here" && cat "$pins" mkbase.sh initramfs.sh vm-init.sh |
		sha256sum)
	if [ "$(cat "$CACHE/$1/sum" 2>/dev/null)" != "$sum" ]; then
		"$here/mkbase.sh" "$1" "$CACHE/$1"
		echo "$sum" >"$CACHE/$1/sum"
	fi
}

# disks: a file system on a real block device, and a place for swap.
disks() {
	truncate -s 1G "$work/disk"
	mke2fs -q -F -t ext4 -E root_owner=0:0 "$work/disk"
	truncate -s 256M "$work/swap"
}

# The emulated processor lacks what emulation does slowly (the flags of the
# second line), and cmpxchg16b, whose flags QEMU 7.2 gets wrong: a kernel that
# uses it crashes at random. Together with the tsc clock, which needs no exit
# to QEMU, and with one CPU where it will do (vm-init.sh), a run takes half as
# long.
CPU="max,cx16=off"
CPU+=",erms=off,fsrm=off,la57=off,smap=off,pku=off"
APPEND="console=ttyS0 quiet loglevel=3 panic=-1 oops=panic workshop.vm=1"
APPEND+=" mitigations=off cryptomgr.notests=1 tsc=reliable"

# boot KERNEL: start the machine, wait for its end; 124 when it took too long.
# The kernel reads the second archive where the first one ends.
boot() {
	local accel=(-accel "tcg,thread=multi" -cpu "$CPU")
	[ -z "${VM_KVM:-}" ] || accel=(-accel kvm -cpu host)
	cat "$CACHE/$1/base.cpio" "$work/suite.cpio" >"$work/initrd"
	cp "$CACHE/$1/vmlinuz" "$work/vmlinuz"
	: >"$work/status"
	timeout --foreground -k 5 "$VM_TIMEOUT" "$QEMU" -M q35 "${accel[@]}" \
		-smp 2 -m "${VM_MEMORY:-1024}" -nodefaults -no-user-config \
		-display none -no-reboot \
		-kernel "$work/vmlinuz" -initrd "$work/initrd" \
		-append "$APPEND" \
		-chardev "stdio,id=con,logfile=$work/console" -serial chardev:con \
		-serial "file:$work/status" \
		-drive "if=virtio,format=raw,cache=unsafe,file=$work/disk" \
		-drive "if=virtio,format=raw,cache=unsafe,file=$work/swap" \
		</dev/null &
	# Bash runs a trap only between commands, but also while it waits.
	qemu=$!
	wait "$qemu"
}

# report: what failed or was skipped and a line for each suite, read as
# `make test` reads them.
report() {
	local name passed failed skipped status seconds
	rm -f "$work/skips" "$work/counts" "$work"/*.log
	awk -v dir="$work" '{ sub(/\r$/, "") }
		/^=== suite / { file = dir "/" $3 ".log" }
		/^=== end/    { file = "" }
		file          { if (!/^=== suite /) print >file }' "$work/console"
	echo
	for name in $names; do
		[ -e "$work/$name.log" ] || : >"$work/$name.log"
		read -r status seconds < <(awk -v s="$name" '
			$1 == "suite" && $2 == s { print $3, $4; n = 1 }
			END { if (!n) print "none -" }' "$work/status")
		awk -v suite="$name" -v status="$status" -v skips="$work/skips" \
			-v counts="$work/$name.counts" -f "$counts" \
			"$work/$name.log"
		read -r passed failed skipped <"$work/$name.counts"
		printf '%-16s %4d passed, %d failed, %d skipped  (%s s)\n' \
			"$name" "$passed" "$failed" "$skipped" "$seconds"
		cat "$work/$name.counts" >>"$work/counts"
		rm "$work/$name.counts"
	done
	[ ! -e "$work/skips" ] || sed 's/^/  skipped: /' "$work/skips"
}

# total KERNEL SECONDS: how it ended, how long it took, and the counts.
total() {
	awk -v wall="$2" '
		$1 == "boot" { boot = $2 }
		$1 == "end"  { end = $2 }
		END { if (end) printf "%.1f s to the first suite, %.0f s in all; ",
			wall - end + boot, wall }' "$work/status"
	echo "kernel $1: $word"
	awk '{ p += $1; f += $2; s += $3 }
		END { printf "%d passed, %d failed, %d skipped\n", p, f, s }' \
		"$work/counts"
}

# verdict QEMU_STATUS: what the second serial port, the console and the counts
# say, as one of our exit codes in $code and as its meaning in $word.
verdict() {
	local words=("passed" "a test failed" "the machine did not run" \
		"the kernel panicked" "it hung")
	if grep -q '^end' "$work/status"; then
		code=0
		awk '$1 == "suite" && $3 { exit 1 }' "$work/status" || code=1
		awk '$2 + $3 { exit 1 }' "$work/counts" || code=1
		if grep -q '^panic: test timed out after' "$work/console" ||
			grep -q '^suite [^ ]* 137 ' "$work/status"; then
			code=4
		fi
	elif grep -q 'Kernel panic' "$work/console"; then
		code=3
	elif [ "$1" = 124 ] || [ "$1" = 137 ]; then
		code=4
	else
		code=2
	fi
	word=${words[$code]}
}

cd "$top"
[ "$(uname -sm)" = "Linux x86_64" ] ||
	die "this needs Linux on x86-64: use vagrant up (vagrant/README.md)"
need "$QEMU" qemu-system-x86
need mke2fs e2fsprogs
need cpio cpio
need flock util-linux
need go golang-go

mkdir -p "$CACHE"
find "$CACHE" -maxdepth 1 -name 'run.*' -mmin +300 -exec rm -rf {} +
work=$(mktemp -d "$CACHE/run.XXXXXX")
trap 'rm -rf "$work"' EXIT
qemu=
trap '[ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true; exit 130' INT TERM
list=$(suites "$@")
[ -n "$list" ] || die "there is no step yet"
# shellcheck disable=SC2086 # one word per directory
names=$(basename -a $list)
exec 9>"$CACHE/lock"
flock 9
for k in ${KERNEL:-6.1 6.12}; do
	base "$k"
done
# shellcheck disable=SC2086 # one word per directory
build $list
flock -u 9
worst=0
for k in ${KERNEL:-6.1 6.12}; do
	disks
	start=$(date +%s.%N)
	ended=0
	boot "$k" || ended=$?
	took=$(date +%s.%N | awk -v s="$start" '{ print $1 - s }')
	report
	verdict "$ended"
	total "$k" "$took"
	[ "$code" -le "$worst" ] || worst=$code
done
exit "$worst"
