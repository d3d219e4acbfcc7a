#!/bin/bash
# check_bench.sh BINDIR: the bench of a tiny network ends well, its CSV has one width, and every figure in it is a number.
set -eu
out=$(mktemp)
trap 'rm -f "$out"' EXIT
"$1/cxr" bench --quick --size 32 --batch-size 2 --threads 1 --seconds 0 --format csv >"$out"
awk -F, 'NR == 1 { width = NF; next }
         NF != width { print "line " NR " has " NF " fields, not " width; bad = 1 }
         $NF == "" && !($7 > 0 && $10 > 0) { print "line " NR " has no figure: " $0; bad = 1 }
         $NF == "" { figures++ }
         END { if (figures < 8) { print figures + 0 " figures"; bad = 1 }; exit bad }' "$out"
