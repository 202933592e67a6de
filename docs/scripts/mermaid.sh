#!/bin/sh
# mermaid.sh: fetch the pinned Mermaid, one file of its npm package, into
# .cache/. docs/pictures_test.go draws the diagrams with it.
set -eu

version=11.4.1
sum=a43bc1afd446f9c4cc66ac5dd45d02e8d65e26fc5344ec0ef787f88d6ddb6f9e
file=.cache/mermaid-$version.min.js

good() { [ -e "$1" ] && echo "$sum  $1" | sha256sum --check --status; }

if good "$file"; then exit 0; fi
if ! command -v npm >/dev/null; then
	echo 'mermaid.sh: no npm: apt-get install npm' >&2
	exit 1
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/workshop-make-XXXXXX")
export WORKSHOP_MAKE="$dir"   # make clean-host: in use
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
mkdir -p .cache
# Its install scripts, and all that it depends on, are not needed.
npm pack --silent --pack-destination "$dir" "mermaid@$version" >/dev/null
tar -xzf "$dir/mermaid-$version.tgz" -C "$dir" package/dist/mermaid.min.js
if ! good "$dir/package/dist/mermaid.min.js"; then
	echo "mermaid.sh: mermaid $version is not the pinned file" >&2
	exit 1
fi
mv "$dir/package/dist/mermaid.min.js" "$file"
