#!/bin/bash
# run.sh: a container of minidocker on the busybox root filesystem. On a
# terminal a shell in it, else the tour. STEP=N: a container of step N instead.
set -euo pipefail

if [ -z "${STEP:-}" ] && [ -e bin/minidocker ]; then
	exec docs/scripts/minidocker.sh
fi
rootfs=${ROOTFS:-rootfs}
# shellcheck disable=SC2231 # the pattern is one: [0-9], or a digit
for bin in bin/step0${STEP:-[0-9]}-*; do :; done    # the last one
if [ ! -e "$bin" ]; then echo "there is no step ${STEP:-}" >&2; exit 1; fi
number=${bin#bin/step0} number=${number%%-*}
if [ "$number" -lt 4 ] && [ "$(id -u)" != 0 ]; then
	echo "${bin#bin/} needs root: sudo make run" >&2
	exit 1
fi

options=()
# add WHAT OPTION...: take the options if a container starts with them.
add() {
	local why what=$1
	shift
	if why=$("$bin" run "${options[@]}" "$@" true 2>&1 >/dev/null); then
		options+=("$@")
		return 0
	fi
	echo "no $what here: $(grep -v '\] - ' <<<"$why" | head -n 1)" >&2
	return 1
}

if [ "$number" -ge 3 ]; then options+=(--rootfs "$rootfs"); fi
options+=(--hostname workshop)
if [ "$(id -u)" != 0 ]; then
	if [ "$number" -ge 5 ]; then
		options+=(--network none)
		echo 'Not root: no network, because the bridge is the host'"'"'s.' >&2
	fi
	if [ "$number" -ge 6 ]; then
		echo 'Not root: no limits, because the cgroups are root'"'"'s.' >&2
	fi
else
	if [ "$number" -ge 5 ]; then
		add bridge --network bridge || options+=(--network none)
	fi
	if [ "$number" -ge 6 ]; then
		add 'memory limit' --memory 64m || true
		add 'CPU limit' --cpus 0.5 || true
		add 'process limit' --pids-limit 64 || true
	fi
fi

if [ -t 0 ] && [ -t 1 ]; then
	echo "A shell in a container of ${bin#bin/}; exit leaves it." >&2
	exec "$bin" run "${options[@]}" sh -l
fi
exec docs/scripts/tour.sh "$bin" "$number" "${options[@]}"
