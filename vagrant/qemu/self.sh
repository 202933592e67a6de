#!/bin/bash
# self.sh: prove the test VM. Each way a run can end has its own exit status,
# and what a user can lack gives one line that says what to do. KERNEL=6.12
# does it with the other kernel.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export KERNEL=${KERNEL:-6.1}
failed=0

# check NAME STATUS REGEXP COMMAND...: the status and a line of the output.
check() {
	local name=$1 want=$2 re=$3 got=0
	shift 3
	"$@" >"$tmp/out" 2>&1 </dev/null || got=$?
	tr -d '\r' <"$tmp/out" >"$tmp/text"
	if [ "$got" = "$want" ] && grep -qE -- "$re" "$tmp/text"; then
		echo "ok    $name: status $got, $(grep -E -m 1 -- "$re" "$tmp/text")"
		return
	fi
	failed=$((failed + 1))
	echo "FAIL  $name: status $got, want $want and a line like: $re"
	sed 's/^/      /' "$tmp/text" | tail -n 40
}

vm() { # SUITE [NAME=VALUE...]
	local dir="vagrant/qemu/testdata/$1"
	shift
	env "$@" "$here/test-vm.sh" "$dir"
}

# --- what is missing --------------------------------------------------------
check "no qemu" 2 '^test-vm: no-qemu is missing: apt-get install qemu-sys' \
	vm pass QEMU=no-qemu
check "kernel without a pin" 2 \
	'^test-vm: KERNEL=5.0 is not pinned: .* 6.1 6.12' \
	vm pass KERNEL=5.0
check "no such step" 2 '^test-vm: there is no step 99$' "$here/test-vm.sh" 99

# A mirror that has moved on: it lists a newer kernel, the pinned one is gone.
new=linux-image-6.1.0-999-cloud-amd64
mkdir -p "$tmp/mirror/dists/bookworm/main/binary-amd64" "$tmp/mirror/pool"
echo "not a package" >"$tmp/mirror/pool/$new.deb"
cat >"$tmp/Packages" <<END
Package: linux-image-6.1.0-998-cloud-amd64
Version: 6.1.998-1
Filename: pool/old.deb
SHA256: 0

Package: $new
Version: 6.1.999-1
Filename: pool/$new.deb
SHA256: 0

Package: linux-image-6.1.0-999-rt-amd64
Version: 6.1.9999-1
Filename: pool/rt.deb
SHA256: 0
END
index=main/binary-amd64/Packages.xz
xz -c "$tmp/Packages" >"$tmp/mirror/dists/bookworm/$index"
echo " $(sha256sum <"$tmp/mirror/dists/bookworm/$index" | cut -d ' ' -f 1)" \
	"0 $index" >"$tmp/mirror/dists/bookworm/InRelease"
cp "$here/pins" "$tmp/pins"
gone=(env "DEBIAN_MIRROR=file://$tmp/mirror" "CACHE=$tmp/cache"
	"PINS=$tmp/pins")
check "unsigned mirror" 2 'InRelease: not signed by Debian: use another' \
	"${gone[@]}" "$here/fetch.sh" 6.1
gone+=(UNSIGNED=1)
line='^test-vm: linux-image-6.1.* has left the archive, bookworm now has'
line="$line 6.1.999-1: make test-vm-pin KERNEL=6.1\$"
check "pin has vanished" 2 "$line" \
	"${gone[@]}" "$here/fetch.sh" 6.1
check "pin is moved" 0 "^test-vm: $new 6.1.999-1 \(was 6.1." \
	"${gone[@]}" "$here/fetch.sh" --pin 6.1
check "wrong checksum" 2 \
	"^test-vm: $new 6.1.999-1: sha256 is [0-9a-f]*, pinned is 0: use " \
	"${gone[@]}" "$here/fetch.sh" 6.1
check "no mirror" 2 \
	'^test-vm: cannot read file:///absent/dists/bookworm/InRelease: set ' \
	"${gone[@]}" DEBIAN_MIRROR=file:///absent "$here/fetch.sh" 6.1

# --- how a run can end ------------------------------------------------------
check "all pass" 0 '^[1-9][0-9]* passed, 0 failed, 0 skipped$' vm pass
check "a test fails" 1 '^1 passed, 1 failed, 0 skipped$' vm fail
check "the kernel panics" 3 'kernel .*: the kernel panicked$' vm panic
check "a suite hangs" 4 '^--- DIED: hang: TestHangs$' vm hang SUITE_TIMEOUT=5
check "the machine hangs" 4 'kernel .*: it hung$' vm hang VM_TIMEOUT=20
check "the machine stops early" 2 'kernel .*: the machine did not run$' \
	vm pass VM_MEMORY=32

[ "$failed" = 0 ] || { echo "$failed checks failed" && exit 1; }
