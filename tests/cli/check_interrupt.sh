#!/bin/bash
# check_interrupt.sh BINDIR SIGNAL_AT: a run that is stopped or killed, and resumed, ends with the bytes of an unbroken one. Each
# is called `run` in a folder of its own: the model file holds the arguments that made it.
set -u
PATH=$1:$PATH
export OMP_WAIT_POLICY=passive ASAN_OPTIONS=${ASAN_OPTIONS:-}:verify_asan_link_order=0
library=$2 failed=0
base=$(mktemp -d)
trap 'rm -rf "$base"' EXIT
cd "$base" || exit 1
fail() {
    echo "FAILED: $*"
    sed 's/^/  err> /' err
    failed=1
}
new_folder() { mkdir "$base/$1" && cd "$base/$1" || exit 1; }
train() { cxr train "$base/data" --recipe article --weights none --size 32 --head 8 --epochs 2 --batch-size 2 --threads 2 --cache off --checkpoint-seconds 0 --out run; }
# train_until STATUS SIGNAL N FILE: the signal comes when the run meets FILE for the N-th time.
train_until() {
    (export LD_PRELOAD=$library CXR_TEST_SIGNAL=$2 CXR_TEST_AT=$3 CXR_TEST_FILE=$4 && train) >out 2>err
    local status=$?
    [[ $status == "$1" ]] || fail "${PWD##*/}: exit $status, wanted $1"
}
# resume WHERE: continues, says where, and compares.
resume() {
    cxr train --resume run >out 2>err || fail "${PWD##*/}: resuming: exit $?"
    grep -q "^resuming in epoch $1 images" err || fail "${PWD##*/}: not resumed in epoch $1 images"
    for weights in last best; do
        cmp run/weights/$weights.safetensors "$base/unbroken/run/weights/$weights.safetensors" || fail "${PWD##*/}: $weights"
    done
    diff <(cut -d, -f1-5 run/results.csv) <(cut -d, -f1-5 "$base/unbroken/run/results.csv") || fail "${PWD##*/}: results.csv"
    cmp run/split.csv "$base/unbroken/run/split.csv" || fail "${PWD##*/}: split.csv"
}

cxr phantom --out data --train 6 --val 16 --test 1 --size 64 >out 2>err || fail "phantoms"
new_folder unbroken
train >out 2>err || fail "unbroken: exit $?"

# Of 12 training and 32 validation images: the 52nd read is the 8th of the second epoch.
new_folder interrupted
train_until 130 2 52 .jpeg
grep -qx 'to continue: cxr train --resume run' err || fail "interrupted: the way on is not said"
resume '2 after [1-9].*'

new_folder terminated
train_until 143 15 8 .jpeg # in the first epoch: nothing is best yet
(trap '' XFSZ && ulimit -f 100 && cxr train --resume run) >out 2>err
status=$?
[[ $status == 74 ]] || fail "no space: exit $status"
grep -q 'safetensors: cannot write: File too large' err || fail "no space: the reason is not said"
[[ -z $(find run -name '*.tmp.*') ]] || fail "no space: left $(find run -name '*.tmp.*')"
resume '1 after [1-9].*'

new_folder killed
train_until 137 9 52 .jpeg # goes on from the end of the first epoch
resume '2 after 0'

new_folder killed_while_saving # the second epoch's models are there, its checkpoint is not
train_until 137 9 3 /checkpoint.safetensors
: >run/weights/best.safetensors.tmp.1 && : >run/notes.tmp.txt
[[ $(find run -name '*.safetensors.tmp.*' | wc -l) == 2 ]] || fail "killed_while_saving: nothing was being written"
resume '2 after 0'
[[ $(find run -name '*.tmp.*') == run/notes.tmp.txt ]] || fail "killed_while_saving: left $(find run -name '*.tmp.*')"
exit $failed
