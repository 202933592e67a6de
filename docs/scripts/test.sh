#!/bin/bash
# test.sh all|STEP|labs|final[/DIR]: run the suites and count. make has built
# everything.
#   RUN=regexp   only these tests         V=1      show each test's lines
#   STRICT=1     a skip is a failure      SUDO=    never use sudo
#   JOBS=2       suites at a time         TIMEOUT=10m
set -euo pipefail

what=$1
scripts=$(dirname "$0")
top=$PWD
# The suites call make themselves; they are not a part of this one.
unset MAKEFLAGS MAKELEVEL MFLAGS
jobs=${JOBS:-2}
rootfs=${ROOTFS:-$top/rootfs}
out=$(mktemp -d "${TMPDIR:-/tmp}/workshop-make-XXXXXX")
export WORKSHOP_MAKE=$out   # make clean-host: in use
trap 'rm -rf "$out"' EXIT
trap 'kill $(jobs -p) 2>/dev/null; wait; exit 130' INT TERM

# Root tests both root and an ordinary user; a user without sudo, himself.
as_root=()
ask_for_root() {
	if [ "$(id -u)" = 0 ] || [ -z "${SUDO-sudo}" ]; then return; fi
	if ! command -v sudo >/dev/null; then return; fi
	if ! sudo -n true 2>/dev/null; then
		if [ ! -t 0 ]; then return; fi
		echo 'The suites test root too: sudo may ask for your password' \
			'(make SUDO= ... runs them without).'
		sudo -v || return 0
	fi
	as_root=(sudo -n)
}

steps() { # NUMBER|all: the directories
	for d in step[0-9][0-9]-*/; do
		d=${d%/}
		if [ -f "$d/main.go" ]; then
			case $d in step0"${1#0}"-*) echo "$d" ;; *)
				if [ "$1" = all ]; then echo "$d"; fi ;;
			esac
		fi
	done
}

# finals all|final|final/DIR: the directories of final/ that have tests.
finals() {
	case $1 in
	all | final)
		if [ -d final ]; then
			find final -name '*_test.go' ! -path '*/buildkit/*' \
				-printf '%h\n' | sort -u
		fi
		;;
	final/*) echo "${1%/}" ;;
	esac
}

# report SUITE STATUS SECONDS: what failed, then the suite's line.
report() {
	awk -v suite="$1" -v status="$2" -v skips="$out/$1.skips" \
		-v counts="$out/$1.counts" -f "$scripts/counts.awk" "$out/$1.log" \
		>"$out/$1.failed" || true
	read -r passed failed skipped <"$out/$1.counts"
	{
		cat "$out/$1.failed"
		printf '%-22s %4d passed, %d failed, %d skipped  (%d s)\n' "$1" \
			"$passed" "$failed" "$skipped" "$3"
	} >"$out/$1.report"
	cat "$out/$1.report"
}

# run SUITE DIRECTORY COMMAND...: one suite, its output into a log.
run() {
	local suite=$1 dir=$2 status=0 begin=$SECONDS
	shift 2
	if [ -n "${V:-}" ]; then
		(cd "$dir" && "$@") 2>&1 </dev/null | tee "$out/$suite.log" || status=$?
	else
		(cd "$dir" && "$@") >"$out/$suite.log" 2>&1 </dev/null || status=$?
	fi
	report "$suite" "$status" $((SECONDS - begin))
}

options() {
	echo -test.v "-test.timeout=${TIMEOUT:-10m}"
	if [ -n "${RUN:-}" ]; then echo "-test.run=$RUN"; fi
}

step() {
	# Somebody's own attempt, or the step's program.
	local env=("STEP_BIN=${STEP_BIN:-$top/bin/$1}" "ROOTFS=$rootfs"
		"STRICT=${STRICT:-}" "TMPDIR=${TMPDIR:-/tmp}")
	if [ -d "bin/c/$1" ]; then env+=("STEP_C=$top/bin/c/$1"); fi
	if [ ! -x "$out/$1.test" ]; then
		echo "no test could be built" >"$out/$1.log"
		report "$1" 1 0
	else
		# shellcheck disable=SC2046 # the options are words
		run "$1" "$1" "${as_root[@]}" env "${env[@]}" "$out/$1.test" $(options)
	fi
}

final() { # DIR
	local name=${1//\//-}
	local env=("MINIDOCKER=$out/bin/minidocker"
		"MINIRUNC=$out/bin/minidocker" "ROOTFS=$out/rootfs"
		"STRICT=${STRICT:-}")
	if [ ! -x "$out/$name.test" ]; then
		echo "no test could be built" >"$out/$name.log"
		report "$name" 1 0
	else
		# shellcheck disable=SC2046 # the options are words
		run "$name" "$1" "${as_root[@]}" env "${env[@]}" "$out/$name.test" \
			$(options)
	fi
}

# The transcripts that need root run under sudo, too. Some of them build: with
# the caller's caches, so that nothing is downloaded for root.
docs() {
	local env=("ROOTFS=$rootfs" "STRICT=${STRICT:-}" "PATH=$PATH"
		"GOCACHE=$(go env GOCACHE)" "GOMODCACHE=$(go env GOMODCACHE)"
		"GOTOOLCHAIN=$(go env GOTOOLCHAIN)" "GOPROXY=$(go env GOPROXY)")
	if [ -d bin/c ]; then env+=("BIN=$out/bin"); fi
	# shellcheck disable=SC2046 # the options are words
	run docs docs "${as_root[@]}" env "${env[@]}" "$out/docs.test" $(options)
	if [ ${#as_root[@]} -gt 0 ]; then
		sudo -n chown -R --from=root "$(id -u):$(id -g)" \
			"$(go env GOCACHE)" "$(go env GOMODCACHE)"
	fi
}

# What brings up the virtual machine, with stubs in place of its tools.
vagrant() {
	# shellcheck disable=SC2046 # the options are words
	run vagrant vagrant "$out/vagrant.test" $(options)
}

# reachable: copies of the programs and the root filesystem for the ordinary
# users of the suites, who may not be able to reach this directory.
reachable() {
	mkdir "$out/bin" "$out/rootfs"
	if [ -d bin ]; then cp -a bin/. "$out/bin"; fi
	if [ -d "$rootfs" ]; then cp -a "$rootfs/." "$out/rootfs"; fi
	chmod -R a+rX "$out/bin"
	chmod 755 "$out"
}

# compile PACKAGE NAME: as the caller, who has the Go toolchain.
compile() {
	CGO_ENABLED=0 go test -c -tags "urfave_cli_no_docs,$tags" \
		-o "$out/$2.test" "./$1"
}

# At most $jobs suites at a time.
start() {
	while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do wait -n || true; done
	"$@" &
}

tags=
if [ "$what" = labs ]; then
	tags=labs
	RUN=${RUN:-TestLabs}
	TIMEOUT=${TIMEOUT:-30m}
fi
list=$(steps "$what")
final=$(finals "$what")
if [ -z "$list$final$tags" ]; then
	echo "there is no step $what" >&2
	exit 1
fi
lint=0
if [ "$what" = all ]; then "$scripts/lint.sh" fast || lint=1; fi
for s in $list $final; do compile "$s" "${s//\//-}" || true; done
ask_for_root
# The chapters build in network namespaces from which nothing is reachable.
if [ "$what" = all ]; then go mod download || true; fi
others=()
if [ "$what" = labs ]; then others=(docs); fi
if [ "$what" = all ]; then
	for s in docs vagrant; do
		if compgen -G "$s/*_test.go" >/dev/null; then others+=("$s"); fi
	done
fi
if [ -n "$final${others[*]}" ]; then reachable; fi
for s in "${others[@]}"; do if compile "$s" "$s"; then start "$s"; fi; done
for s in $list; do start step "$s"; done
for s in $final; do start final "$s"; done
wait

for s in "${others[@]}"; do # one that could not be compiled
	if [ ! -e "$out/$s.counts" ]; then echo "0 1 0" >"$out/$s.counts"; fi
done
total=$(cat "$out"/*.counts | awk -v lint=$lint '{ p += $1; f += $2; s += $3 }
	END { printf "%d passed, %d failed, %d skipped", p, f + lint, s }')
if cat "$out"/*.skips >"$out/skips" 2>/dev/null; then
	echo
	echo 'Skipped:'
	# SUITE: TEST: REASON, listed by reason.
	awk '{ name = $1 " " substr($2, 1, length($2) - 1)
		reason = substr($0, length($1 $2) + 3)
		if (!(reason in tests)) order[++n] = reason
		tests[reason] = tests[reason] "    " name "\n"
	}
	END { for (i = 1; i <= n; i++)
		printf "  %s\n%s", order[i], tests[order[i]] }' "$out/skips"
fi
echo
echo "$total"
case $total in *' 0 failed,'*) ;; *) exit 1 ;; esac
if [ -n "${STRICT:-}" ]; then
	case $total in *', 0 skipped') ;; *) exit 1 ;; esac
fi
