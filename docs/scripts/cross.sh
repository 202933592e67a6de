#!/bin/bash
# cross.sh: build every program for amd64 and arm64 and prove that it is
# static and without cgo. GOBUILD is the build command of the Makefile.
set -euo pipefail

out=$(mktemp -d "${TMPDIR:-/tmp}/workshop-make-XXXXXX")
export WORKSHOP_MAKE=$out   # make clean-host: in use
trap 'rm -rf "$out"' EXIT
trap 'exit 130' INT TERM
status=0
count=0

# cgo leaves the package runtime/cgo in the program's list of packages, and
# a dynamic program names its loader in a PT_INTERP program header.
prove() { # FILE ARCHITECTURE
	local wrong=
	go version -m "$1" | grep -q 'CGO_ENABLED=0' || wrong='cgo is not off'
	go version -m "$1" | grep -q "GOARCH=$2" || wrong="not for $2"
	readelf -lW "$1" >"$out/headers"
	if grep -qE 'INTERP|DYNAMIC' "$out/headers"; then wrong='dynamic'; fi
	count=$((count + 1))
	if [ -n "$wrong" ]; then
		printf '%-24s %-6s %s\n' "${1##*/}" "$2" "$wrong"
		status=1
	else
		printf '%-24s %-6s static, no cgo, %d KB\n' "${1##*/}" "$2" \
			$(($(wc -c <"$1") / 1024))
	fi
}

for main in step[0-9][0-9]-*/main.go final/cmd/*/main.go final/main.go; do
	if [ ! -e "$main" ]; then continue; fi
	dir=${main%/main.go}
	# A C file beside Go files, or import "C", needs cgo to build.
	if [ -n "$(CGO_ENABLED=1 go list -f '{{.CgoFiles}}' "./$dir" |
		tr -d '[]')" ]; then
		echo "$dir uses cgo"
		status=1
	fi
	for arch in amd64 arm64; do
		file=$out/$arch/${dir##*/}
		CGO_ENABLED=0 GOOS=linux GOARCH=$arch ${GOBUILD:-go build} -o "$file" \
			"./$dir"
		prove "$file" "$arch"
		rm "$file"
	done
done
if [ $count = 0 ]; then echo 'nothing to build'; exit 1; fi
exit $status
