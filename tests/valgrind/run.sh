#!/bin/bash
# run.sh CXR: two training steps and one prediction under valgrind; any error or leak fails. Exit 77 without valgrind.
set -eu
cxr=$(realpath -- "$1")
here=$(cd "$(dirname "$0")" && pwd)
command -v valgrind >/dev/null || exit 77
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
# valgrind runs one thread at a time: one that spins keeps the others waiting.
export OMP_WAIT_POLICY=passive

check() {
    valgrind --quiet --error-exitcode=1 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite \
        --suppressions="$here/../valgrind.supp" "$cxr" "$@"
}

"$cxr" phantom --out data --train 8 --val 16 --test 1 --size 64 >/dev/null
check train data --recipe article --fit val --weights none --freeze layer3 --head 8 --size 32 --batch-size 8 --epochs 1 --threads 1 --out run --quiet
check predict --model run/weights/last.safetensors data/test/NORMAL --threads 1
