#!/bin/bash
# lint.sh fast|all: gofmt and vet; all adds staticcheck, shellcheck and width.
set -uo pipefail

status=0
bad() { echo "lint: $*" >&2; status=1; }

# What git does not know about (bin/, rootfs/, a learner's work/) is not ours.
if git rev-parse --git-dir >/dev/null 2>&1; then
	files=$(git -c safe.directory='*' ls-files -co --exclude-standard)
else
	files=$(find . -type f -not -path './work/*' -not -path './bin/*' \
		-not -path './rootfs/*' -not -path './.*' | sed 's:^\./::')
fi
pick() { echo "$files" | grep -E "$1" | while read -r f; do
	if [ -f "$f" ]; then echo "$f"; fi; done; }

goFiles=$(pick '\.go$')
# shellcheck disable=SC2086 # no file of ours has a blank in its name
unformatted=$(gofmt -l $goFiles) || bad 'gofmt'
if [ -n "$unformatted" ]; then bad "gofmt: $unformatted"; fi
packages=$(go list -tags urfave_cli_no_docs ./... | grep -v '/work/' |
	tr '\n' ' ')
# shellcheck disable=SC2086 # one word a package
go vet -tags urfave_cli_no_docs,labs,mutants $packages || bad 'go vet'

if [ "$1" = all ]; then
	make -s --no-print-directory lint-staticcheck PACKAGES="$packages" ||
		bad staticcheck
	shells=$(pick '\.sh$'; echo .ci/run)
	if command -v shellcheck >/dev/null; then
		# shellcheck disable=SC2086 # one word a file
		shellcheck $shells || bad shellcheck
	else
		bad 'shellcheck is missing: apt-get install shellcheck'
	fi
	# A tab counts as four columns, a letter of several bytes as one.
	for f in $goFiles $shells Makefile $(pick '\.[ch]$'); do
		if expand -t 4 "$f" | LC_ALL=C sed 's/[\x80-\xbf]//g' |
			LC_ALL=C grep -nE '^.{81}' | sed "s|^\([0-9]*\):.*|$f:\1|"; then
			bad "these lines of $f have more than 80 columns"
		fi
	done
fi
exit $status
