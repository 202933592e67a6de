#!/bin/bash
# diff.sh STEP: what STEP adds to the step before it, without tests, C, text
# and labs.
set -euo pipefail

step=${1#0}
for new in step0"$step"-*/; do :; done
if [ ! -d "$new" ]; then echo "there is no step $step" >&2; exit 1; fi
copy=$(mktemp -d "${TMPDIR:-/tmp}/workshop-make-XXXXXX")
export WORKSHOP_MAKE=$copy   # make clean-host: in use
trap 'rm -rf "$copy"' EXIT
trap 'exit 130' INT TERM

# The program's source alone, under the step's own name, so that the diff's
# headings read well.
source_of() {
	mkdir "$copy/$1"
	for f in "$1"/*.go; do
		case $f in *_test.go) ;; *) cp "$f" "$copy/$f" ;; esac
	done
}
source_of "${new%/}"
last=$((step - 1))
if [ $last = 0 ]; then
	old=nothing
	mkdir "$copy/nothing"
else
	for old in step0"$last"-*/; do :; done
	old=${old%/}
	source_of "$old"
fi
color=auto
if [ ! -t 1 ]; then color=never; fi
cd "$copy"
git --no-pager diff --no-index --no-prefix --color=$color --stat \
	"$old" "${new%/}" || true
echo
git --no-pager diff --no-index --no-prefix --color=$color \
	"$old" "${new%/}" || [ $? != 128 ]
