#!/bin/bash
# minidocker.sh: a container of minidocker from the busybox root filesystem,
# which is imported as an image, so there is no registry to ask. On a terminal a
# shell in it, else the tour: what it sees, and the host's view beside it.
# shellcheck disable=SC2016,SC2034,SC2154,SC2317 # beside evaluates, too
set -euo pipefail

rootfs=${ROOTFS:-rootfs}
busybox=$rootfs/bin/busybox
# Root's and a user's own; make clean removes them.
data=$PWD/.cache/minidocker/$(id -u)
export MINIDOCKER_ROOT=$data MINIDOCKER_STATE=$data/run
program=$PWD/bin/minidocker
mkdir -p "$data"
temp=$(mktemp -d "${TMPDIR:-/tmp}/workshop-make-XXXXXX")
export WORKSHOP_MAKE=$temp   # make clean-host: in use

# Names say whose they are, so that a run can clear what one that was killed
# has left, and two at a time do not meet.
name=workshop-$$
quiet() { "$program" "$@" >/dev/null 2>&1; }
cleanup() {
	quiet rm -f "$name" || true
	quiet network rm "$name" || true
	rm -rf "$temp"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
for old in $("$program" ps -a --format '{{.Names}}'; "$program" network ls \
	--format '{{.Name}}'); do
	pid=${old#workshop-}
	if [ "$pid" != "$old" ] && ! kill -0 "$pid" 2>/dev/null; then
		quiet rm -f "$old" || true
		quiet network rm "$old" || true
	fi
done

quiet import "$rootfs" workshop || "$program" import "$rootfs" workshop
options=(--hostname workshop)
network=(--network pasta)
if [ "$(id -u)" = 0 ]; then
	# The default bridge may belong to another minidocker of this machine.
	quiet network create "$name" || true
	network=(--network "$name")
elif ! command -v pasta >/dev/null; then
	network=(--network slirp4netns)
fi

# starts OPTION...: does a container start with them? $why says why not.
starts() {
	why=$("$program" run --rm --name "$name" "${options[@]}" "$@" workshop \
		true 2>&1 >/dev/null) && return
	quiet rm -f "$name" || true
	return 1
}

# add WHAT OPTION...: take the options if a container starts with them.
add() {
	local what=$1
	shift
	if starts "$@"; then options+=("$@"); return; fi
	echo "no $what here: $(head -n 1 <<<"$why")" >&2
	if [ "$what" = network ]; then options+=(--network none); fi
}

limited=(--memory 64m --cpus 0.5 --pids-limit 64)
if starts "${network[@]}" "${limited[@]}"; then
	options+=("${network[@]}" "${limited[@]}")
else
	add network "${network[@]}"
	add 'memory limit' "${limited[@]:0:2}"
	add 'CPU limit' "${limited[@]:2:2}"
	add 'process limit' "${limited[@]:4:2}"
fi

if [ -t 0 ] && [ -t 1 ]; then
	echo 'A shell in a container of minidocker; exit leaves it.' >&2
	status=0
	"$program" run --rm -it --name "$name" "${options[@]}" workshop sh -l ||
		status=$?
	exit "$status"
fi

# Whatever becomes of us, the container ends.
"$program" run -d --rm --name "$name" "${options[@]}" workshop sleep 300 \
	>"$temp/id"
id=$(cat "$temp/id")
pid=$("$program" inspect -f '{{.State.Pid}}' "$name")
inside() { "$program" exec "$name" "$@"; }
# shellcheck source=docs/scripts/beside.sh
. "$(dirname "$0")/beside.sh"

# The container's limits are files in its own directory of each hierarchy.
limits() {
	local f found=
	sed 's/.*://' "/proc/$pid/cgroup" | sort -u | while read -r f; do
		ls -d /sys/fs/cgroup{,/*}"$f"/{memory.max,memory.limit_in_bytes,\
cpu.max,cpu.cfs_quota_us,pids.max}
	done 2>/dev/null | grep "$id" | sort -u >"$temp/limits" || true
	while read -r f; do
		echo "${f##*/}: $(cat "$f")"
		found=1
	done <"$temp/limits"
	if [ -z "$found" ]; then echo 'no limits: the cgroups are root'"'"'s'; fi
}

echo "minidocker run ${options[*]} workshop sleep 300"
echo
"$program" ps --filter "name=$name" --format \
	'table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.Status}}\t{{.Names}}'
beside '1 uts: the host name' 'hostname' 'hostname || uname -n'
beside '2 pid: the processes' 'ps -o pid,args' on_host
beside '3 mount: mount points and their types' "$mounts | head -n 12" \
	"$mounts | head -n 12; wc -l </proc/self/mountinfo | sed 's/$/ in all/'"
beside '4 user: who am I, the uid map, what I may' \
	'echo "uid $(id -u)"; tr -s " " </proc/self/uid_map
	grep -E "CapEff|Seccomp:" /proc/self/status' \
	'sed -n "s/^Uid:.\([0-9]*\).*/the same process is uid \1/p" \
		"/proc/$pid/status"
	tr -s " " </proc/self/uid_map
	grep -E "CapEff|Seccomp:" /proc/self/status'
beside '5 net: the addresses' "ip -o addr | awk '{ print \$2, \$4 }'" \
	"'$busybox' ip -o addr | awk '{ print \$2, \$4 }' | head -n 12"
beside '6 cgroups: my cgroups, and their limits' \
	'grep -E ":(memory|cpu|pids|):" /proc/self/cgroup' limits
beside '7 overlay: a file made inside; the layers' \
	'echo hello >/made-inside; ls -d /made-inside
	grep " / overlay" /proc/mounts | cut -d, -f1; ls / | tr "\n" " "' \
	'echo "in the image: $(ls "$data"/images/layers/*/made-inside 2>/dev/null |
		wc -l)"
	(cd "$data" && ls containers/*/upper | sed "s/^/upper: /" | tail -n 1)
	echo "overlay mounts of it on the host: $(
		grep -c "$id.* - overlay" /proc/self/mountinfo)"'
echo
