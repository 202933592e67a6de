#!/bin/bash
# tour.sh PROGRAM STEP OPTION...: start one container and show what it sees,
# with the host's view beside it. make run calls it (see run.sh).
# shellcheck disable=SC2016,SC2034,SC2154,SC2317 # beside evaluates, too
set -euo pipefail

program=$1 step=$2
shift 2
rootfs=${ROOTFS:-rootfs}
busybox=$rootfs/bin/busybox
temp=$(mktemp -d "${TMPDIR:-/tmp}/workshop-make-XXXXXX")
export WORKSHOP_MAKE=$temp   # make clean-host: in use
trap 'rm -rf "$temp"' EXIT
trap 'exit 130' INT TERM

# The container waits for a line on its standard input: closing it ends it.
mkfifo "$temp/end"
"$program" run "$@" sh -c 'read -r _ || true' <"$temp/end" 2>"$temp/err" &
id=$!
exec 3>"$temp/end"

pid=
for _ in $(seq 100); do
	pid=$(sed -n 's/.*the container is PID \([0-9]*\)$/\1/p' "$temp/err")
	if [ -n "$pid" ] && grep -q 'inside the' "$temp/err"; then break; fi
	if ! kill -0 "$id" 2>/dev/null; then break; fi
	sleep 0.1
done
if [ -z "$pid" ] || ! kill -0 "$id" 2>/dev/null; then
	cat "$temp/err" >&2
	wait "$id" || exit $?
	exit 1
fi

inside() { "$program" exec "$pid" "$@"; }
# shellcheck source=docs/scripts/beside.sh
. "$(dirname "$0")/beside.sh"

# The container's limits are files in its own directory of each hierarchy.
limits() {
	local f found=
	for f in /sys/fs/cgroup{,/*}/workshop-"$id"/{memory.max,\
memory.limit_in_bytes,cpu.max,cpu.cfs_quota_us,pids.max}; do
		if [ -e "$f" ]; then
			echo "${f##*/}: $(cat "$f")"
			found=1
		fi
	done
	if [ -z "$found" ]; then echo 'no limits: the cgroups are root'"'"'s'; fi
}

cat "$temp/err"
beside '1 uts: the host name' 'hostname' 'hostname || uname -n'
if [ "$step" -ge 3 ]; then
	beside '2 pid: the processes' 'ps -o pid,args' on_host
	beside '3 mount: mount points and their types' "$mounts" \
		"$mounts | head -n 12; wc -l </proc/self/mountinfo | sed 's/$/ in all/'"
fi
if [ "$step" -ge 4 ]; then
	beside '4 user: who am I, and the uid map' \
		'echo "uid $(id -u)"; tr -s " " </proc/self/uid_map' \
		'sed -n "s/^Uid:.\([0-9]*\).*/the same process is uid \1/p" \
			"/proc/$pid/status"
		tr -s " " </proc/self/uid_map'
fi
if [ "$step" -ge 5 ]; then
	beside '5 net: the addresses' \
		"ip -o addr | awk '{ print \$2, \$4 }'" \
		"'$busybox' ip -o addr | awk '{ print \$2, \$4 }'"
fi
if [ "$step" -ge 6 ]; then
	beside '6 cgroups: my cgroups, and their limits' \
		'grep -E ":(memory|cpu|pids|):" /proc/self/cgroup' limits
fi
if [ "$step" -ge 7 ]; then
	beside '7 overlay: a file made inside; the root directory' \
		'echo hello >/made-inside; ls -d /made-inside; grep " / overlay" \
		/proc/mounts | cut -d, -f1; ls / | tr "\n" " "' \
		"ls -d '$rootfs/made-inside' 2>&1 | sed 's/.*: N/N/'; echo;
		ls '$rootfs' | tr '\n' ' '"
fi

exec 3>&-
status=0
wait "$id" || status=$?
echo
tail -n 1 "$temp/err"
exit "$status"
