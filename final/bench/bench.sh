#!/bin/bash
# bench.sh: how fast minidocker is, as a table: medians of runs in turn (ab.c)
# beside what is installed of floor (the least: floor.c), runc, crun, bwrap,
# unshare, podman and docker. make bench has built the programs.
#   RUNS=30         runs of each command      MANY=200   containers in a row
#   ONLY='run exec' some of: run net exec runtime many memory tcp pull commit
#                   build
#   PEERS='runc'    only these peers
# Everybody's storage is in one directory that goes at the end; dockerd, podman
# and minidocker have a network namespace of their own, so that nothing of the
# host's network is touched. It needs root.
set -euo pipefail

top=$PWD
runs=${RUNS:-30} many=${MANY:-200}
only=${ONLY:-run net exec runtime many memory tcp pull commit build}
peers=${PEERS:-runc crun bwrap unshare podman docker}
export PATH=$PATH:/usr/sbin:/sbin:/usr/local/bin

if [ "$(id -u)" != 0 ]; then
	echo 'bench: it needs root: sudo make bench' >&2
	exit 2
fi
# A name that no other run has for what is not a file: networks, cgroups.
if [ -z "${BENCH_INSIDE:-}" ]; then
	BENCH_INSIDE=1 exec unshare -n -m "$0" "$@"
fi
ip link set lo up
mount --make-rprivate / 2>/dev/null || true

work=$(mktemp -d "${TMPDIR:-/tmp}/minidocker-bench-XXXXXX")
rootfs=${ROOTFS:-$top/rootfs}
ab=$top/.cache/bench/ab
floor=$top/.cache/bench/floor
mini="$top/bin/minidocker --root $work/mini --state $work/mini-run"
runtime="$top/bin/minidocker runtime --root $work/minirunc"
podman="podman --root $work/podman --runroot $work/podman-run"
podman+=" --tmpdir $work/podman-tmp --cgroup-manager cgroupfs"
# crun refuses hybrid cgroups.
if command -v runc >/dev/null; then podman+=" --runtime $(command -v runc)"; fi
docker="docker -H unix://$work/docker.sock"
daemon=
registries=()
id=bench-$$
# The cgroups that the other engines make for all of theirs, and leave behind.
parents() {
	find /sys/fs/cgroup -maxdepth 2 -type d \
		\( -name docker -o -name libpod_parent \)
}
before=$(parents)
cleanup() {
	set +e
	{
		for c in $($mini ps -aq); do $mini rm -f "$c"; done
		$runtime delete -f "$id-exec"
		runc --root "$work/runc" delete -f "$id-exec"
		crun --root "$work/crun" delete -f "$id-exec"
		if has podman; then $podman rm -fa; fi
		if [ -n "$daemon" ]; then
			for c in $($docker ps -aq); do $docker rm -f "$c"; done
			kill "$daemon"
			wait "$daemon"
		fi
		kill "${registries[@]}"
		findmnt -rno TARGET | grep "^$work" | sort -r | xargs -r umount -l
		parents | grep -vxF "$before" | while read -r dir; do
			find "$dir" -depth -type d -exec rmdir {} \;
		done
	} >/dev/null 2>&1
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# has PEER: it is wanted and installed.
has() {
	case " $peers " in *" $1 "*) command -v "$1" >/dev/null ;; *) false ;; esac
}

wants() { case " $only " in *" $1 "*) ;; *) false ;; esac; }

note() { echo "  ($*)"; }

# row FIGURE PEER OURS THEIRS BAR: a line of the table. The ratio is ours to
# theirs.
row() {
	awk -v f="$1" -v p="$2" -v a="$3" -v b="$4" -v bar="$5" 'BEGIN {
		if (a + 0 <= 0 || b + 0 <= 0) ratio = "-"
		else ratio = sprintf("%.2f", a / b)
		verdict = ""
		if (bar != "" && ratio != "-") {
			split(bar, w, " ")
			ok = w[1] == ">=" ? ratio >= w[2] + 0 : ratio <= w[2] + 0
			verdict = ok ? "ok" : "MISSED"
		}
		printf "%-26s %-12s %12s %12s %7s %9s %s\n", f, p, a, b, ratio, bar,
			verdict
	}'
}

# The commands of one figure, ours first: begin; add PEER BAR COMMAND...;
# compare FIGURE.
add() {
	names+=("$1") bars+=("$2")
	shift 2
	echo "$*" >>"$work/list"
}
compare() {
	local i=0 medians
	mapfile -t medians < <("$ab" "$runs" "$work/list")
	for ((i = 1; i < ${#names[@]}; i++)); do
		row "$1, us" "${names[i]}" "${medians[0]}" "${medians[i]}" "${bars[i]}"
	done
	if [ ${#names[@]} = 1 ]; then row "$1, us" - "${medians[0]}" - ''; fi
}
begin() {
	names=() bars=()
	rm -f "$work/list"
}

# A bundle as `runc spec` makes it, for every runtime the same.
bundle() { # DIR COMMAND...
	local dir=$1
	shift
	mkdir -p "$dir"
	$runtime spec -b "$dir" >/dev/null
	python3 - "$dir/config.json" "$rootfs" "$@" <<-'END'
		import json, sys
		file, rootfs, *args = sys.argv[1:]
		spec = json.load(open(file))
		spec["process"].update(terminal=False, args=args)
		spec["root"] = {"path": rootfs, "readonly": True}
		json.dump(spec, open(file, "w"))
	END
}

have_mini=
if $mini import "$rootfs" bench >/dev/null 2>"$work/err" &&
	$mini run --rm --network none bench true 2>"$work/err"; then
	have_mini=1
else
	note "minidocker run does not work yet: $(tail -1 "$work/err")"
fi
if has podman && ! { tar -C "$rootfs" -c . |
	$podman import - bench && $podman run --rm --network none --ulimit \
	nofile=1024:1024 --ulimit nproc=4096:4096 bench true; } \
	>/dev/null 2>"$work/err"; then
	note "podman: $(tail -1 "$work/err")"
	peers=${peers/podman/}
fi
podman_run="$podman run --ulimit nofile=1024:1024 --ulimit nproc=4096:4096"
start_docker() {
	if ! command -v dockerd >/dev/null; then
		echo 'dockerd is not installed' >&2
		return 1
	fi
	# It forbids forwarding to all others: in a network of its own.
	unshare -n sh -c 'ip link set lo up; exec "$@"' - dockerd \
		--data-root "$work/docker" --exec-root "$work/docker-run" \
		--pidfile "$work/docker.pid" -H "unix://$work/docker.sock" \
		>"$work/docker.log" 2>&1 &
	daemon=$!
	for _ in $(seq 300); do
		if $docker version >/dev/null 2>&1; then
			tar -C "$rootfs" -c . | $docker import - bench >/dev/null &&
				$docker run --rm --network none bench true && return
			return 1
		fi
		kill -0 "$daemon" 2>/dev/null || break
		sleep 0.1
	done
	return 1
}
if has docker && ! start_docker 2>"$work/err"; then
	note "docker: $(cat "$work/err" "$work/docker.log" | tail -1)"
	peers=${peers/docker/}
fi

bundle "$work/bundle" true
bundle "$work/sleep" sleep 100000
for r in runc crun; do
	if has $r && ! $r --root "$work/$r" run --bundle "$work/bundle" "$id" \
		2>"$work/err"; then
		note "$r: $(tail -1 "$work/err")"
		peers=${peers/$r/}
	fi
done

printf '%-26s %-12s %12s %12s %7s %9s\n' \
	figure against minidocker peer ratio bar

if wants run && [ -n "$have_mini" ]; then
	begin
	mkdir "$work/floor"
	add mini '' "$mini run --rm --network none bench true"
	if has runc; then
		add runc '<= 0.5' \
			"runc --root $work/runc run --bundle $work/bundle $id"
	fi
	if has crun; then
		add crun '' "crun --root $work/crun run --bundle $work/bundle $id"
	fi
	add floor '<= 4' "$floor $rootfs $work/floor true"
	if has bwrap; then
		add bwrap '<= 2' "bwrap --unshare-all --ro-bind $rootfs /" \
			"--proc /proc --dev /dev true"
	fi
	if has unshare; then
		add unshare '' "unshare -fmpuinC --mount-proc true"
	fi
	if has podman; then
		add podman '' "$podman_run --rm --network none bench true"
	fi
	if has docker; then
		add docker '' "$docker run --rm --network none bench true"
	fi
	compare 'run --network none'
fi

if wants net && [ -n "$have_mini" ]; then
	begin
	add mini '' "$mini run --rm bench true"
	if has podman; then add podman '<= 0.15' "$podman_run --rm bench true"; fi
	if has docker; then add docker '<= 0.1' "$docker run --rm bench true"; fi
	compare 'run, bridge and NAT'
fi

# The runtime alone: the same bundle for all.
if wants runtime; then
	begin
	add mini '' "$runtime run --bundle $work/bundle $id"
	for r in runc crun; do
		if has $r; then
			add $r '' "$r --root $work/$r run --bundle $work/bundle $id"
		fi
	done
	add floor '' "$floor $rootfs $work/floor true"
	mkdir -p "$work/floor"
	compare 'runtime run'
fi

# detached RUNTIME...: a container to execute in.
detached() {
	"$@" run --detach --bundle "$work/sleep" "$id-exec" \
		</dev/null >/dev/null 2>&1
}
if wants exec; then
	begin
	if [ -n "$have_mini" ]; then
		$mini run -d --name "$id-exec" --network none bench sleep 100000 \
			>/dev/null
		add mini '' "$mini exec $id-exec true"
	else
		# shellcheck disable=SC2086 # words
		detached $runtime
		add mini '' "$runtime exec $id-exec true"
	fi
	for r in runc crun; do
		if has $r && detached $r --root "$work/$r"; then
			add $r "$([ $r != runc ] || echo '<= 0.5')" \
				"$r --root $work/$r exec $id-exec true"
		fi
	done
	if has podman; then
		$podman_run -d --name "$id-exec" --network none bench sleep 100000 \
			>/dev/null
		add podman '' "$podman exec $id-exec true"
	fi
	if has docker; then
		$docker run -d --name "$id-exec" --network none bench sleep 100000 \
			>/dev/null
		add docker '' "$docker exec $id-exec true"
	fi
	compare exec
fi

# pss NAME: KiB of one process of that name that was started from here.
pss() {
	local pid
	for pid in $(pgrep -f -- "$1"); do
		if [ "$pid" != $$ ] && { grep -q "$work" "/proc/$pid/cmdline" ||
			[ "/proc/$pid/ns/net" -ef /proc/self/ns/net ]; }; then
			awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup"
			return
		fi
	done
}
# Each keeps the container of the row above; as a container has one of each, one
# is looked at.
if wants memory && wants exec && [ -n "$have_mini" ]; then
	ours=$(pss minidocker-monitor)
	if has podman; then
		row 'monitor, PSS KiB' conmon "$ours" "$(pss conmon)" ''
	fi
	if has docker; then
		row 'monitor, PSS KiB' shim "$ours" \
			"$(pss containerd-shim-runc-v2)" '<= 1'
	fi
fi

# What is left of ours: containers, mounts, links, cgroups, processes.
leftovers() {
	$mini ps -aq | wc -l
	findmnt -rno TARGET | grep -c "$work/mini" || true
	ip -o link | grep -vc 'lo:\|docker\|podman\|cni' || true
	find /sys/fs/cgroup -type d | grep -cFf "$work/ids" || true
	find "$work/mini/containers" -mindepth 1 -maxdepth 1 | wc -l
}
if wants many && [ -n "$have_mini" ]; then
	echo "$id" >"$work/ids"
	clean=$(leftovers)
	for ((i = 1; i <= many; i++)); do
		start=$EPOCHREALTIME
		$mini run -d --network none --name "$id-$i" bench sleep 100000 \
			>>"$work/ids"
		stop=$EPOCHREALTIME
		echo $((${stop/./} - ${start/./}))
	done >"$work/many"
	# Of the first ten, and of the last ten, the median.
	first=$(head -10 "$work/many" | sort -n | sed -n 5p)
	last=$(tail -10 "$work/many" | sort -n | sed -n 5p)
	row "start of number $many, us" 'the first' "$last" "$first" '<= 1.3'
	for ((i = 1; i <= many; i++)); do $mini rm -f "$id-$i" >/dev/null; done
	if [ "$(leftovers)" = "$clean" ]; then
		note "all $many removed, nothing left"
	else
		note "LEFT: " "$(paste -sd' ' <<<"$(leftovers)")" instead of \
			"$(paste -sd' ' <<<"$clean")"
	fi
fi

# tcp ENGINE...: MB a second from a container to another over the bridge.
tcp() {
	local address start stop
	"$@" -d --name "$id-server" bench sh -c \
		'while :; do nc -l -p 5000 >/dev/null; done' >/dev/null
	sleep 0.5
	address=$("${@:1:$#-1}" exec "$id-server" ip -4 -o addr show dev eth0 |
		awk '{ sub("/.*", "", $4); print $4 }')
	start=$EPOCHREALTIME
	"$@" --rm bench sh -c "dd if=/dev/zero bs=64k count=16384 2>/dev/null |
		nc $address 5000"
	stop=$EPOCHREALTIME
	"${@:1:$#-1}" rm -f "$id-server" >/dev/null
	awk -v t=$((${stop/./} - ${start/./})) 'BEGIN { print int(1024e6 / t) }'
}
if wants tcp && [ -n "$have_mini" ]; then
	# shellcheck disable=SC2086 # words
	ours=$(tcp $mini run)
	# shellcheck disable=SC2086 # words
	if has docker; then
		row 'TCP, MiB a second' docker "$ours" "$(tcp $docker run)" '>= 1.0'
	fi
fi

# timed COMMAND...: how many microseconds it takes once.
timed() {
	local start=$EPOCHREALTIME stop
	"$@" >/dev/null 2>"$work/err" || tail -n 1 "$work/err" >&2
	stop=$EPOCHREALTIME
	echo $((${stop/./} - ${start/./}))
}
# peak COMMAND...: how many KiB of memory it has had.
peak() {
	python3 -c 'if 1:
		import resource, subprocess, sys
		subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
		print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)' "$@"
}
median() {
	sort -n "$1" | awk '{ v[NR] = $1 } END { print v[int(NR / 2 + 1)] }'
}

# An image of five layers, 40 MB each, of this machine's files.
registry=127.0.0.1:5000
five() {
	find /usr/lib /usr/share /usr/bin -xdev -type f -size -4000k \
		-printf '%s .%p\n' | LC_ALL=C sort -k2 | awk -v to="$work/files" '{
			size += $1
			n = int(size / 40e6) + 1
			if (n > 5) next
			sub(/^[0-9]+ /, "")
			print >(to n) }'
	$mini create --name "$id-five" --network none bench true
	for n in 1 2 3 4 5; do
		tar -C / -cf - -T "$work/files$n" | $mini cp - "$id-five:/"
		if [ "$n" = 1 ]; then
			$mini export "$id-five" | $mini import - "$registry/five"
		else
			$mini commit "$id-five" "$registry/five"
		fi
		$mini rm "$id-five"
		$mini create --name "$id-five" --network none "$registry/five" true
	done
	$mini rm "$id-five"
	$mini push -q "$registry/five"
	$mini rmi "$registry/five"
}
serve() { # COMMAND...: in front of the registry
	cat >"$work/registry.yml" <<-END
		version: 0.1
		log: {level: error, accesslog: {disabled: true}}
		storage: {filesystem: {rootdirectory: $work/registry}}
		http: {addr: $registry}
	END
	"$@" docker-registry serve "$work/registry.yml" >/dev/null 2>&1 &
	registries+=($!)
	until "$@" bash -c "</dev/tcp/${registry/:/\/}" 2>/dev/null; do
		sleep 0.1
	done
}
if wants pull && [ -n "$have_mini" ]; then
	if ! command -v docker-registry >/dev/null; then
		note 'pull: docker-registry is not installed'
	else
		serve env
		five >/dev/null
		list="mini"
		if has podman; then list+=" podman"; fi
		if has docker; then
			list+=" docker"
			serve nsenter -t "$daemon" -n
		fi
		for ((i = 0; i < (runs < 10 ? runs : 10); i++)); do
			for p in $list; do
				more=
				if [ "$p" = podman ]; then more=--tls-verify=false; fi
				sync
				# shellcheck disable=SC2086 # words
				timed ${!p} pull -q $more "$registry/five" >>"$work/pull-$p"
				${!p} rmi "$registry/five" >/dev/null
			done
		done
		for p in ${list#mini}; do
			row 'pull of 200 MB, us' "$p" "$(median "$work/pull-mini")" \
				"$(median "$work/pull-$p")" '<= 0.8'
		done
		# shellcheck disable=SC2086 # words
		row 'pull, peak KiB' '64 MiB' "$(peak $mini pull "$registry/five")" \
			65536 '<= 1'
		$mini rmi "$registry/five" >/dev/null
	fi
fi

# An upper directory of 10,000 files. Nothing is removed in between: after that
# many files have gone, ext4 without a journal looks for a free inode for long.
# shellcheck disable=SC2016 # the container's shell expands it
fill='i=0; while [ $i -lt 100 ]; do mkdir -p /d/$i; j=0
while [ $j -lt 100 ]; do echo $i $j >/d/$i/$j; j=$((j + 1)); done
i=$((i + 1)); done'
if wants commit && [ -n "$have_mini" ]; then
	$mini run --name "$id-fill" --network none bench sh -c "$fill"
	list="mini"
	if has podman; then
		list+=" podman"
		$podman_run --name "$id-fill" --network none bench sh -c "$fill"
	fi
	for ((i = 0; i < (runs < 10 ? runs : 10); i++)); do
		for p in $list; do
			sync
			# shellcheck disable=SC2086 # words
			timed ${!p} commit "$id-fill" filled >>"$work/commit-$p"
		done
	done
	for p in ${list#mini}; do
		row 'commit of 10,000 files, us' "$p" \
			"$(median "$work/commit-mini")" "$(median "$work/commit-$p")" \
			'<= 0.5'
	done
fi

# The same Dockerfile for all: 12 RUNs, each a layer. What is cached is what was
# built just before.
builds() { # FIGURE OPTION...
	local figure=$1
	shift
	begin
	add mini '' "$mini build --network none $* $work/context"
	if has podman; then
		add podman '<= 0.3' "$podman build --network none --layers" \
			"--ulimit nofile=1024:1024 --ulimit nproc=4096:4096" \
			"$* $work/context"
	fi
	if has docker; then
		add docker '<= 0.3' "env DOCKER_BUILDKIT=0 $docker build" \
			"--network none $* $work/context"
	fi
	compare "$figure"
}
if wants build && [ -n "$have_mini" ]; then
	mkdir "$work/context"
	{
		echo 'FROM bench'
		for i in $(seq 12); do echo "RUN echo $i >/file$i"; done
	} >"$work/context/Dockerfile"
	builds 'build of 12 RUNs' --no-cache
	builds 'build, all cached'
	# 200 MB that are copied, written by a RUN, and copied from a stage.
	head -c 200000000 /dev/urandom >"$work/context/large"
	cat >"$work/context/Dockerfile" <<-'END'
		FROM bench AS one
		COPY large /large
		RUN cp /large /second
		FROM bench
		COPY --from=one /second /third
	END
	# shellcheck disable=SC2086 # words
	row 'build, peak KiB' '64 MiB' "$(peak $mini build --network none \
		"$work/context")" 65536 '<= 1'
fi
