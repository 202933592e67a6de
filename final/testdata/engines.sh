#!/bin/bash
# Runs minirunc under Podman and Docker: what they do with runc they must do
# with it. Usage: engines.sh MINIRUNC ROOTFS [podman] [docker]. Needs root.
# Each engine has its data in a temporary directory; dockerd runs in a network
# and mount namespace of its own, so that the host's stay as they are.
set -u
mini=$(realpath -s "$1") rootfs=$(realpath "$2")
shift 2
[ $# = 0 ] && set -- podman docker
dir=$(mktemp -d /tmp/engines-XXXXXX)
daemon=
# The cgroups that the engines make for all of theirs, and leave behind.
parents() {
	find /sys/fs/cgroup -maxdepth 2 -type d \
		\( -name docker -o -name libpod_parent \)
}
before=$(parents)
passed=0 failed=0 skipped=0

cleanup() {
	if [ -n "$daemon" ]; then
		kill "$(cat "$dir/docker.pid")" 2>/dev/null
		wait "$daemon"
	fi
	grep -o " ${dir}[^ ]*" /proc/self/mounts | sort -r | while read -r m; do
		umount -l "$m"
	done
	rm -rf "$dir"
	# The kernel keeps those in use.
	parents | grep -vxF "$before" | while read -r cgroup; do
		find "$cgroup" -depth -type d -exec rmdir {} \; 2>/dev/null
	done
}
trap cleanup EXIT

# is NAME WANT GOT: one line each, words of the engine's output.
is() {
	if [ "$2" = "$3" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "FAIL $engine: $1: want \"$2\", got \"$3\""
	fi
}

# has NAME WORD TEXT
has() {
	case $3 in
	*"$2"*) is "$1" x x ;;
	*) is "$1" "...$2..." "$3" ;;
	esac
}

# until COMMAND...: waits for up to 20 seconds.
until_true() {
	for _ in $(seq 200); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	is "$*" true false
}

# suite COMMAND...: what both engines have in common. The limits are for
# machines where root may not raise any: without CAP_SYS_RESOURCE.
suite() {
	run="$* run --network none --ulimit nofile=1024:1024
		--ulimit nproc=4096:4096"
	tar -C "$rootfs" -c . | "$@" import - busybox >/dev/null 2>&1
	is run hi "$($run --rm busybox echo hi 2>&1)"
	$run --rm busybox sh -c 'exit 42' >/dev/null 2>&1
	is "exit status" 42 $?
	$run --rm busybox nosuch >/dev/null 2>&1
	is "command not found" 127 $?
	$run --rm busybox /no/such >/dev/null 2>&1
	is "path not found" 127 $?
	$run --rm busybox /etc/passwd >/dev/null 2>&1
	is "not executable" 126 $?
	is "stdin" "a b" "$(echo a b | $run --rm -i busybox cat 2>&1)"
	# shellcheck disable=SC2016 # the container's shell expands it
	is "user, workdir, env" "5 6 /tmp x y" "$($run --rm -u 5:6 -w /tmp \
		-e A='x y' busybox sh -c 'echo $(id -u) $(id -g) $PWD $A' 2>&1)"
	has "capabilities" 00000000a80425fb "$($run --rm --cap-drop ALL --cap-add \
		chown --cap-add dac_override --cap-add fsetid --cap-add fowner \
		--cap-add mknod --cap-add net_raw --cap-add setgid --cap-add setuid \
		--cap-add setfcap --cap-add setpcap --cap-add net_bind_service \
		--cap-add sys_chroot --cap-add kill --cap-add audit_write busybox \
		grep CapEff /proc/self/status 2>&1)"
	has "seccomp" "2" "$($run --rm busybox grep Seccomp: /proc/self/status)"
	has "read-only" "Read-only" "$($run --rm --read-only busybox touch /x 2>&1)"
	is "volume" "data" "$(echo data >"$dir/file"; $run --rm -v \
		"$dir:/mnt:ro" busybox cat /mnt/file 2>&1)"
	terminal "$@"
	lifecycle "$@"
	is "containers left" "" "$("$@" ps -aq)"
}

terminal() {
	out=$( (sleep 2; echo 'tty; stty size'; sleep 1; echo exit 7) |
		script -qec "stty cols 77 rows 33; ${run//$'\n'/ } --rm -it \
			busybox sh" \
			/dev/null; echo "status $?")
	has "run -it: terminal" "/dev/pts/0" "$out"
	has "run -it: size" "33 77" "$out"
	has "run -it: status" "status 7" "$out"
}

lifecycle() {
	$run -d --name one busybox sh -c 'trap "echo usr1" USR1
		trap "echo term; exit 3" TERM; echo begun
		while :; do sleep 0.1; done' >/dev/null
	until_true sh -c "$* logs one | grep begun"
	has ps "Up" "$("$@" ps)"
	is "exec" "1" "$("$@" exec one sh -c 'cat /proc/1/comm | wc -l' 2>&1)"
	"$@" exec one sh -c 'exit 9' >/dev/null 2>&1
	is "exec: exit status" 9 $?
	"$@" exec one nosuch >/dev/null 2>&1
	code=$?
	[ $code = 126 ] && code=127 # Docker 20.10 says so with runc as well
	is "exec: command not found" 127 $code
	is "exec -i" "x" "$(echo x | "$@" exec -i one cat)"
	out=$( (sleep 2; echo 'tty'; echo exit 5) | script -qec \
		"$* exec -it one sh" /dev/null; echo "status $?")
	has "exec -it: terminal" "/dev/pts/" "$out"
	has "exec -it: status" "status 5" "$out"
	"$@" exec -d one sh -c 'echo detached >/tmp/x' >/dev/null
	until_true "$@" exec one test -s /tmp/x
	"$@" pause one >/dev/null
	has "pause" "Paused" "$("$@" ps -a)"
	"$@" unpause one >/dev/null
	has "unpause" "Up" "$("$@" ps -a)"
	"$@" kill -s USR1 one >/dev/null
	until_true sh -c "$* logs one | grep usr1"
	has top "sh" "$("$@" top one)"
	has stats "one" "$("$@" stats --no-stream one)"
	update "$@"
	"$@" stop one >/dev/null
	is "stop" "3" "$("$@" inspect -f '{{.State.ExitCode}}' one)"
	has "logs" "term" "$("$@" logs one)"
	"$@" start one >/dev/null
	until_true "$@" exec one true
	"$@" kill one >/dev/null
	until_true sh -c "$* inspect -f '{{.State.ExitCode}}' one | grep 137"
	"$@" rm one >/dev/null
	$run -d --name two --stop-timeout 1 busybox sleep 1000 >/dev/null
	"$@" rm -f two >/dev/null 2>&1
}

update() {
	"$@" update --memory 64m --memory-swap 64m one >/dev/null 2>&1 ||
		"$@" update --cpu-shares 512 one >/dev/null
	out=$("$@" exec one sh -c 'cat /sys/fs/cgroup/memory/*limit_in_bytes \
		/sys/fs/cgroup/memory.max' 2>/dev/null)
	has "update --memory" 67108864 "$out"
}

for engine in "$@"; do
	if ! command -v "$engine" >/dev/null; then
		echo "SKIP $engine: not installed: apt-get install $engine*"
		skipped=$((skipped + 1))
		continue
	fi
	case $engine in
	podman)
		suite podman --root "$dir/root" --runroot "$dir/run" --tmpdir \
			"$dir/tmp" --cgroup-manager cgroupfs --runtime "$mini"
		;;
	docker)
		unshare -n -m sh -c "ip link set lo up; exec dockerd --data-root \
			$dir/data --exec-root $dir/exec --pidfile $dir/docker.pid \
			-H unix://$dir/docker.sock --iptables=false --ip6tables=false \
			--bridge=none --add-runtime mini=$mini --default-runtime mini" \
			>"$dir/dockerd.log" 2>&1 &
		daemon=$!
		export DOCKER_HOST=unix://$dir/docker.sock
		until_true docker version
		suite docker
		;;
	esac
done
echo "engines: $passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
