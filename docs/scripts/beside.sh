# shellcheck shell=bash disable=SC2034,SC2154 # others set and use them
# beside.sh: what the two tours share. Before they source it they have set
# $temp, a directory, and $pid, a process of the container as the host numbers
# it, and inside, which runs a command in the container.

# beside TITLE INSIDE OUTSIDE: two shell commands, their outputs in two columns.
beside() {
	inside sh -c "$2" </dev/null 3>&- >"$temp/in" 2>&1 ||
		echo "(status $?)" >>"$temp/in"
	( eval "$3" ) </dev/null 3>&- >"$temp/out" 2>&1 || true
	echo
	echo "== $1"
	awk -v left="$temp/in" -v right="$temp/out" 'BEGIN {
		row("in the container", "on the host")
		for (;;) {
			a = (getline l <left) > 0; b = (getline r <right) > 0
			if (!a && !b) exit
			row(a ? l : "", b ? r : "")
		}
	}
	function row(l, r) { gsub(/\t/, " ", l); gsub(/\t/, " ", r)
		printf "   %-36.36s | %.39s\n", l, r }'
}

# The processes of the container as the host numbers them: those in its PID
# namespace.
on_host() {
	local ns p
	ns=$(readlink "/proc/$pid/ns/pid")
	for p in /proc/[0-9]*; do
		if [ "$(readlink "$p/ns/pid" 2>/dev/null)" = "$ns" ]; then
			printf '%5d %s\n' "${p#/proc/}" "$(tr '\0' ' ' <"$p/cmdline")"
		fi
	done
	set -- /proc/[0-9]*
	echo "      ($# processes on this host)"
}

# Mount points and types; of the cgroups one is enough.
mounts="awk '{ for (i = 7; \$i != \"-\"; i++); print \$5, \$(i + 1) }' \\
/proc/self/mountinfo | grep -v /sys/fs/cgroup/"
