#!/bin/bash
# trace.sh STEP: strace of the step's run, only the calls that steps 1 to STEP
# teach. ARGS="..." replaces the options and the command.
set -euo pipefail

step=${1#0}
for bin in bin/step0"$step"-*; do :; done
rootfs=${ROOTFS:-rootfs}
if [ ! -x "$bin" ]; then echo "there is no step $step" >&2; exit 1; fi
if ! command -v strace >/dev/null; then
	echo 'strace is missing: apt-get install strace' >&2
	exit 1
fi
if [ "$step" -lt 4 ] && [ "$(id -u)" != 0 ]; then
	echo "step $step needs root: sudo make trace-step$step" >&2
	exit 1
fi

# Each step adds its calls, and the files whose contents are its subject. Not
# every machine has all of them, and not every strace knows them: ?
calls='clone,?clone3,unshare,setns,execve,sethostname,setdomainname'
files='/proc/self/exe'
if [ "$step" -ge 2 ]; then calls+=',kill,wait4,waitid,?pidfd_open'; fi
if [ "$step" -ge 3 ]; then
	calls+=',mount,pivot_root,chroot,chdir,umount2,?mkdir,mkdirat'
	calls+=',?mknod,mknodat,?symlink,symlinkat,?open_tree,?mount_setattr'
fi
if [ "$step" -ge 4 ]; then
	calls+=,setuid,setgid,setgroups,write,openat
	files+='|(uid_map|gid_map|setgroups)[">]'
fi
if [ "$step" -ge 5 ]; then calls+=,sendto,sendmsg; files+='|RTM_|NFNL'; fi
if [ "$step" -ge 6 ]; then
	calls+=',?rmdir,unlinkat'
	files+='|/sys/fs/cgroup'
fi
if [ "$step" -ge 7 ]; then calls+=',?rename,?renameat,?renameat2'; fi

default=(run --hostname traced)
if [ "$step" -ge 3 ]; then default+=(--rootfs "$rootfs"); fi
if [ "$step" -ge 5 ] && [ "$(id -u)" != 0 ]; then default+=(--network none); fi
if [ "$step" -ge 6 ] && [ "$(id -u)" = 0 ]; then
	default+=(--memory 64m --pids-limit 64)
fi
default+=(hostname)
# shellcheck disable=SC2206 # ARGS is words
if [ -n "${ARGS:-}" ]; then default=(run ${ARGS}); fi

log=$(mktemp "${TMPDIR:-/tmp}/workshop-make-XXXXXX")
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT TERM
status=0
echo "strace -f -e trace=$calls ${bin} ${default[*]}"
strace -f -qq -y -s 200 -e signal=none -e "trace=$calls" -o "$log" \
	"$bin" "${default[@]}" || status=$?

# What is left out: threads of the Go runtime (CLONE_THREAD), reads of other
# files, writes to anything but those files, questions by netlink.
awk -v files="$files" '
	# strace cuts a call in two when another thread comes between: join them.
	/ <unfinished \.\.\.>$/ {
		sub(/ <unfinished \.\.\.>$/, ""); half[$1] = $0; next
	}
	match($0, /<\.\.\. [a-z0-9_]+ resumed>/) {
		rest = substr($0, RSTART + RLENGTH)
		$0 = half[$1] rest
	}
	{ sub(/ +=/, " =") }
	/CLONE_THREAD/ { next }
	/ clone\(/ && !/SIGCHLD/ { next }    # the runtime tries whether pidfds work
	# In another network strace does not know which netlink it sees.
	/ sendto\(/ { gsub(/_type=0x10 /, "_type=RTM_NEWLINK ")
		gsub(/_type=0x12 /, "_type=RTM_GETLINK ")
		gsub(/_type=0x14 /, "_type=RTM_NEWADDR ")
		gsub(/_type=0x18 /, "_type=RTM_NEWROUTE ") }
	/ (openat|write|sendto|sendmsg)\(/ && $0 !~ files { next }
	/ openat\(/ && (/ = -1 / || /\/sys\/fs\/cgroup/) { next }
	# Of a message by netlink: what it asks for, and the names and addresses.
	/ (sendto|sendmsg)\(/ {
		said = ""
		gsub(/"(\\x[0-9a-f][0-9a-f])+"/, "")
		while (match($0, /nlmsg_type=[A-Z0-9_<|]+|"[^"\\]+"|IFF_UP/)) {
			word = substr($0, RSTART, RLENGTH)
			sub(/^nlmsg_type=(NFNL_SUBSYS_NFTABLES<<8\|)?/, "", word)
			$0 = substr($0, 1, RSTART - 1) substr($0, RSTART + RLENGTH)
			said = said " " word
		}
		# Questions, and what the batch begins and ends with, say little.
		gsub(/ NFNL_MSG_BATCH_(BEGIN|END)/, "", said)
		if (said !~ /_GET/) printf "%-5s netlink:%s\n", $1, said
		next
	}
	/ (wait4|waitid)\(/ && / = -1 ECHILD| = 0$/ { next }
	/^[0-9]+ +\+\+\+/ { next }
	# The Go runtime asks whether pidfds work, and dies with a parent that is
	# gone already: seen from a new PID namespace it is, but 1 is immune.
	index($0, " pidfd_open(" $1 ",") || / kill\(1, SIGKILL\)/ { next }
	/ (rmdir|unlinkat)\(/ && / = -1 / { next }
	# Go changes the IDs of every thread, as C libraries do.
	/ set[ug]id\(/ && seen[substr($0, length($1) + 1)]++ { next }
	{
		sub(/, 0x[0-9a-f]+\) =/, ", ...) =")
		sub(/, 0x[0-9a-f]+, MS_/, ", ..., MS_")
		sub(/0x[0-9a-f]+ \/\*/, "/*")
		sub(/propagation=0 [^,]*, userns_fd=0/, "...")
		sub(/ = 0<.*>$/, " = 0")
		print
	}
' "$log"
exit $status
