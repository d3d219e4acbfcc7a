#!/bin/bash
# run_real.sh BINDIR SOURCE FILE...: the cases of FILE against the program itself, with a small data set in $DATA, a run in $RUN,
# its model in $MODEL, files made to be refused in $BAD and the committed fixtures in $FIXTURES.
set -eu
bin=$1 source=$2
shift 2
base=$(mktemp -d)
trap 'rm -rf "$base"' EXIT
export DATA=$base/data RUN=$base/run MODEL=$base/run/weights/best.safetensors BAD=$base/bad FIXTURES=$source/tests/fixtures
# The smallest training there is: one step or two of a head on a random, frozen backbone.
export TINY="--recipe article --weights none --size 32 --head none --epochs 1 --batch-size 8 --quiet"
mkdir "$BAD" && bash "$(dirname "$0")/make_bad_files.sh" "$BAD"
"$bin/cxr" phantom --out "$DATA" --train 8 --val 16 --test 4 --size 64 >/dev/null
# shellcheck disable=SC2086 # several words
"$bin/cxr" train "$DATA" $TINY --out "$RUN" >/dev/null
bash "$(dirname "$0")/run_cases.sh" "$bin" "$@"
