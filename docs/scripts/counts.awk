# counts.awk: read the output of a Go test binary (-test.v) and report on it.
#   -v suite=NAME  -v status=N  -v skips=FILE  -v counts=FILE
# Leaf tests are counted: a test with subtests is not a proof of its own,
# unless it fails although all of its subtests pass.
# Prints what the failed tests said; appends the skips and the counts to files.

{ line = $0; sub(/\r$/, "", line) }

line ~ /^=== (RUN|CONT|NAME|PAUSE) / {
	split(line, word, / +/)
	current = word[3]
	if (word[2] == "RUN" && !(current in result)) {
		order[++n] = current
		result[current] = "RUN"
		for (p = current; sub(/\/[^\/]*$/, "", p); ) parent[p] = 1
	}
	next
}

match(line, /^ *--- (PASS|FAIL|SKIP): /) {
	split(substr(line, 1, RLENGTH), word, /[ :]+/)
	what = line; sub(/^ *--- /, "", what); sub(/:.*/, "", what)
	name = substr(line, RLENGTH + 1); sub(/ \([0-9.]+s\)$/, "", name)
	result[name] = what
	next
}

line == "PASS" || line == "FAIL" { ended = 1; next }

{
	if (line ~ /^ *[a-z_0-9]+\.go:[0-9]+: /) {
		reason = line; sub(/^ *[a-z_0-9]+\.go:[0-9]+: /, "", reason)
		if (said[current] !~ /^needs /) said[current] = reason
	}
	text[current] = text[current] "    " line "\n"
	tail[NR] = line
}

function failed_below(name,    other) {
	for (other in result)
		if (index(other, name "/") == 1 && result[other] != "PASS" &&
		    result[other] != "SKIP") return 1
	return 0
}

END {
	for (i = 1; i <= n; i++) {
		name = order[i]; r = result[name]
		if (r == "SKIP" && (!(name in parent))) {
			skipped++
			print suite ": " name ": " said[name] >>skips
		} else if (r == "PASS" && !(name in parent)) {
			passed++
		} else if (r == "FAIL" || r == "RUN") {
			if ((name in parent) && failed_below(name)) continue
			failed++
			print "--- " (r == "RUN" ? "DIED" : "FAIL") ": " suite ": " name
			printf "%s", text[name]
		}
	}
	# A panic, a timeout or a failed start leaves no last line PASS or FAIL.
	if (!failed && (!ended || status != 0 || n == 0)) {
		failed++
		print "--- FAIL: " suite ": " (n ? "it ended" : "no test ran," \
			" it ended") " with status " status
		for (i = NR - 60; i <= NR; i++) if (i in tail) print "    " tail[i]
	}
	print passed + 0, failed + 0, skipped + 0 >>counts
}
