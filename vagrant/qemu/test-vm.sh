#!/bin/bash
# test-vm.sh [SUITE...]: run suites (a step's number, a directory with a Go
# test, final for all of those in it, or docs for the transcripts that need
# cgroup v2; default: all of them) in virtual
# machines: one for each kernel and suite, so that each starts clean and a crash
# costs only one of them.
#
#   KERNEL="6.1 6.12"   which of the pinned kernels
#   RUN=REGEXP          only the tests that match
#   JOBS=2              machines at a time
#   VM_KVM=1            use /dev/kvm instead of software emulation
#   VM_MEMORY=1024      MiB for each machine
#   SUITE_TIMEOUT=600   seconds for a suite
#   VM_TIMEOUT=900      seconds for a machine
#
# Exit status: 0 all passed, 1 a test failed, 2 something is missing or a
# machine did not run, 3 a kernel panicked, 4 a suite or a machine hung; of
# several the highest.
set -eu
umask 022

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
awk=$top/docs/scripts/counts.awk
pins=${PINS:-$here/pins}
export CACHE="$top/.cache/vm"
export PATH=$PATH:/usr/sbin:/sbin
QEMU=${QEMU:-qemu-system-x86_64}
SUITE_TIMEOUT=${SUITE_TIMEOUT:-600}
VM_TIMEOUT=${VM_TIMEOUT:-900}

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
			if compgen -G "${d}*_test.go" >/dev/null; then
				echo "${d%/}"
			fi
		done
		suites docs
		[ ! -d final ] || suites final
		return
	fi
	for a; do
		case $a in
		[0-9] | [0-9][0-9])
			d=$(compgen -G "step$(printf %02d "$((10#$a))")-*") ||
				die "there is no step $a"
			;;
		final)
			find final -name '*_test.go' ! -path '*/buildkit/*' \
				-printf '%h\n' | sort -u
			continue
			;;
		*) d=${a%/} ;;
		esac
		compgen -G "$d/*_test.go" >/dev/null || die "$d has no test"
		echo "$d"
	done
}

# program DIR: what its suite tests, if that is a program. The pages use all.
program() {
	local d
	case $1 in
	docs) for d in step[0-9][0-9]-*/; do echo "bin/${d%/}"; done ;;
	final*) [ ! -e final/main.go ] || echo bin/minidocker ;;
	*) [ ! -e "$1/main.go" ] || echo "bin/$1" ;;
	esac
}

# names DIR...: one word for each suite.
names() {
	local d
	for d; do
		case $d in
		final*) echo "${d//\//-}" ;;
		*) basename "$d" ;;
		esac
	done
}

# build DIR...: programs, C programs and test binaries. The root Makefile knows
# how each program is built.
build() {
	local d c targets=()
	for d; do
		# shellcheck disable=SC2207 # one word per program
		targets+=($(program "$d"))
		for c in "$d"/c/*.c; do
			[ ! -e "$c" ] || targets+=("bin/c/$d/$(basename "$c" .c)")
		done
	done
	make --no-print-directory -s "${targets[@]}" rootfs >&2 ||
		die "the build failed: see above"
	for d; do
		pack "$d"
	done
}

# pack DIR: the cpio with what the suite of that directory needs.
pack() {
	local name files program
	name=$(names "$1")
	files=$work/$name/suite
	mkdir -p "$files/c"
	for program in $(program "$1"); do cp "$program" "$files/"; done
	if [ "$1" = docs ]; then
		mkdir "$files/repo"
		cp --parents ./*.md docs/*.md step*/*.md step*/main.go "$files/repo/"
	fi
	[ ! -d "$1/testdata" ] || cp -r "$1/testdata" "$files/"
	[ ! -d "bin/c/$1" ] || cp -r "bin/c/$1/." "$files/c/"
	CGO_ENABLED=0 go test -c -vet=off -trimpath -ldflags=-s \
		-tags urfave_cli_no_docs -o "$files/test" "./$1" ||
		die "the tests in $1 do not build: see above"
	cp -r rootfs "$files/rootfs"
	chmod -R go+rX "$files"
	cat >"$files/env" <<-END
		SUITE='$name'
		DIR='$1'
		RUN='${RUN:-}'
		LIMIT=$SUITE_TIMEOUT
	END
	(cd "$work/$name" && find suite | LC_ALL=C sort |
		cpio --quiet -o -H newc -R 0:0 --reproducible) >"$work/$name.cpio"
	rm -r "${work:?}/$name"
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

# The emulated processor lacks what emulation does slowly (the flags of the
# second line), and cmpxchg16b, whose flags QEMU 7.2 gets wrong: a kernel that
# uses it crashes at random. Together with the tsc clock, which needs no exit
# to QEMU, a run takes half as long.
CPU="max,cx16=off"
CPU+=",erms=off,fsrm=off,la57=off,smap=off,pku=off"
APPEND="console=ttyS0 quiet loglevel=3 panic=-1 oops=panic workshop.vm=1"
APPEND+=" mitigations=off cryptomgr.notests=1 tsc=reliable"

# machine KERNEL SUITE: start a machine and wait for its end, which timeout
# makes 124 when it came too late. The kernel reads the second archive where
# the first one ends. One disk has a file system on it, the other is for swap.
machine() {
	local m=$work/$1/$2 smp=1 append=$APPEND
	local accel=(-accel "tcg,thread=multi" -cpu "$CPU")
	mkdir -p "$m"
	cat "$CACHE/$1/base.cpio" "$work/$2.cpio" >"$m/initrd"
	truncate -s 1G "$m/disk"
	mke2fs -q -F -t ext4 -E root_owner=0:0 "$m/disk"
	truncate -s 256M "$m/swap"
	: >"$m/status"
	# A second emulated CPU costs half the speed of both: only the suites about
	# sharing and pinning CPUs get one. Step 6 has a third, which is off.
	case $2 in
	step06-*) smp=3 append+=" maxcpus=2" ;;
	final*) smp=2 ;;
	esac
	[ -z "${VM_KVM:-}" ] || accel=(-accel kvm -cpu host)
	date +%s.%N >"$m/start"
	timeout --foreground -k 5 "$VM_TIMEOUT" "$QEMU" -M q35 "${accel[@]}" \
		-smp "$smp" -m "${VM_MEMORY:-1024}" -nodefaults -no-user-config \
		-display none -no-reboot \
		-kernel "$CACHE/$1/vmlinuz" -initrd "$m/initrd" -append "$append" \
		-chardev "stdio,id=con,logfile=$m/console" -serial chardev:con \
		-serial "file:$m/status" \
		-drive "if=virtio,format=raw,cache=unsafe,file=$m/disk" \
		-drive "if=virtio,format=raw,cache=unsafe,file=$m/swap" \
		</dev/null 2>&1 | sed -u "s/^/$(prefix "$1" "$2")/; s/\r\$//"
	echo "${PIPESTATUS[0]}" >"$m/ended"
	date +%s.%N >"$m/stop"
	rm "$m/initrd" "$m/disk" "$m/swap"
}

# prefix KERNEL SUITE: whose line it is, where several speak at the same time.
prefix() {
	[ "$machines" = 1 ] || echo "$1 $2: "
}

# verdict DIR: how a machine ended, as one of our exit codes. The second serial
# port decides; the console may say anything.
verdict() {
	local ended
	ended=$(cat "$1/ended")
	if grep -q '^exit 137$' "$1/status"; then
		echo 4
	elif grep -q '^exit' "$1/status"; then
		if grep -q '^panic: test timed out after' "$1/console"; then
			echo 4
		elif grep -q '^exit 0$' "$1/status"; then
			echo 0
		else
			echo 1
		fi
	elif grep -q 'Kernel panic' "$1/console"; then
		echo 3
	elif [ "$ended" = 124 ] || [ "$ended" = 137 ]; then
		echo 4
	else
		echo 2
	fi
}

words=("passed" "a test failed" "the machine did not run" \
	"the kernel panicked" "it hung")

# report KERNEL: what failed or was skipped and a line for each suite, then the
# counts, read as `make test` reads them. The worst code is left in $worst.
report() {
	local name m code bad=0 passed failed skipped unproved times
	echo
	for name in $names; do
		m=$work/$1/$name
		code=$(verdict "$m")
		touch "$m/console" "$m/skips"
		awk '{ sub(/\r$/, "") }
			/^=== end$/    { on = 0 }
			on
			/^=== suite /  { on = 1 }' "$m/console" >"$m/log"
		awk -v suite="$name" -v status="$code" -v skips="$m/skips" \
			-v counts="$m/counts" -f "$awk" "$m/log"
		read -r passed failed skipped <"$m/counts"
		# The machine has no programs but busybox: what needs another one is
		# left to the host, whose kernel does for it.
		unproved=$(grep -vc ': needs [^:]*: apt' "$m/skips" || true)
		if [ "$code" = 0 ] && [ $((failed + unproved)) -gt 0 ]; then
			code=1 # no test ran, or one was skipped
		fi
		sed "s/^/  skipped: /" "$m/skips"
		times=$(cat "$m/start" "$m/stop" "$m/status" | awk '
			NR == 1 { start = $1 }
			NR == 2 { wall = $1 - start }
			$1 == "boot" { boot = $2 }
			$1 == "end" { ready = wall - $2 + boot }
			END { printf "%.0f s", wall
				if (ready) printf ", %.1f of them to boot", ready }')
		printf '%-16s %4d passed, %d failed, %d skipped  (%s)%s\n' "$name" \
			"$passed" "$failed" "$skipped" "$times" \
			"$([ "$code" -lt 2 ] || echo ": ${words[$code]}")"
		[ "$code" -le "$bad" ] || bad=$code
	done
	echo "kernel $1: ${words[$bad]}"
	cat "$work/$1"/*/counts | awk '{ p += $1; f += $2; s += $3 }
		END { printf "%d passed, %d failed, %d skipped\n", p, f, s }'
	[ "$bad" -le "$worst" ] || worst=$bad
}

cd "$top"
[ "$(uname -sm)" = "Linux x86_64" ] ||
	die "this needs Linux on x86-64: use vagrant up (vagrant/README.md)"
need "$QEMU" qemu-system-x86
need mke2fs e2fsprogs
need cpio cpio
need flock util-linux
need go golang-go
kernels=${KERNEL:-6.1 6.12}

mkdir -p "$CACHE"
find "$CACHE" -maxdepth 1 -name 'run.*' -mmin +300 -exec rm -rf {} +
work=$(mktemp -d "$CACHE/run.XXXXXX")
trap 'rm -rf "$work"' EXIT

# Each job is a process group of its own (set -m), with QEMU in it.
# shellcheck disable=SC2154 # p is set in there
trap 'for p in $(jobs -p); do kill -- "-$p"; done; wait; exit 130' INT TERM
list=$(suites "$@")
[ -n "$list" ] || die "there is no step yet"
# shellcheck disable=SC2086 # one word per directory
names=$(names $list)
machines=$(for k in $kernels; do for n in $names; do echo "$k $n"; done; done |
	wc -l)
(
	flock 9
	for k in $kernels; do
		base "$k"
	done
	# shellcheck disable=SC2086 # one word per directory
	build $list
) 9>"$CACHE/lock"

set -m
for k in $kernels; do
	for n in $names; do
		while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-2}" ]; do
			wait -n || true
		done
		machine "$k" "$n" &
	done
done
wait
worst=0
for k in $kernels; do
	report "$k"
done
exit "$worst"
