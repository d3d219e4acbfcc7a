#!/bin/bash
# instructions.sh [--out FILE.md] [CXR]: instructions that cxr executes, which noise cannot touch: of `predict` of one image, start
# included, and of a training step of 4 images, backbone frozen and nothing frozen, as the difference of a run of two steps and one
# of one step. f32, one thread, 32 x 32 pixels, random weights from a file, phantoms, kernels by a fixed rule. Counted by perf where the
# processor lets it, else by callgrind, which lacks AVX-512: oneDNN falls back to AVX2 there. Prints CSV; --out also writes
# Markdown.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=
if [[ ${1:-} == --out ]]; then
    out=$2
    shift 2
fi
cxr=${1:-$root/build/release/cxr}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Set, so that the program does not start itself again, uncounted.
export OMP_WAIT_POLICY=passive XDG_CACHE_HOME=$work/cache

if perf stat -x, -e instructions:u true 2>&1 | grep -q '^[0-9]'; then
    counter="perf stat"
    kernels=$("$cxr" --version | sed -n 's/.*kernels for \([a-z0-9_]*\).*/\1/p')
else
    counter=callgrind
    kernels="avx2 (valgrind shows the program no AVX-512)"
fi

# count COMMAND...: the instructions of a program, on standard output.
count() {
    if [[ $counter == "perf stat" ]]; then
        perf stat -x, -o "$work/count" -e instructions:u "$@" >/dev/null 2>"$work/err" || { cat "$work/err" >&2; return 1; }
        awk -F, '/instructions/ { print $1 }' "$work/count"
    else
        valgrind --tool=callgrind --callgrind-out-file=/dev/null "$@" >/dev/null 2>"$work/err" ||
            { cat "$work/err" >&2; return 1; }
        awk '/Collected/ { print $NF }' "$work/err"
    fi
}

# step FREEZE: the instructions of a second step.
step() {
    local one two
    one=$(count "$cxr" train "$work/one" "${options[@]}" --weights "$model" --freeze "$1" --out "$work/$1-one")
    two=$(count "$cxr" train "$work/two" "${options[@]}" --weights "$model" --freeze "$1" --out "$work/$1-two")
    echo $((two - one))
}

# Two classes: half as many images of each.
"$cxr" phantom --out "$work/one" --train 2 --val 1 --size 64 >/dev/null
"$cxr" phantom --out "$work/two" --train 4 --val 1 --size 64 >/dev/null
options=(--recipe article --epochs 1 --batch-size 4 --size 32 --threads 1 --deterministic --group-by none --quiet)
"$cxr" train "$work/one" "${options[@]}" --weights none --out "$work/run" >/dev/null
model=$work/run/weights/best.safetensors
frozen=$(step backbone)
free=$(step none)
image=$(find "$work/one/train" -name '*.jpeg' | sort | head -n 1)
predict=$(count "$cxr" predict --model "$model" --threads 1 --deterministic "$image")

echo "work,instructions,counter,kernels"
for row in "predict of one image,$predict" "training step of 4 images with the backbone frozen,$frozen" \
    "training step of 4 images with nothing frozen,$free"; do
    echo "$row,$counter,$kernels"
done
[[ -n $out ]] || exit 0
cat >"$out" <<EOF
Instructions, counted by $counter, which noise cannot touch; kernels for $kernels; one thread, f32, \`--deterministic\`, 32×32
pixels, ResNet-18 with the article's head. A step's figure is the difference of two runs and holds the decoding of its images.

| work | instructions, millions |
| --- | --- |
| \`cxr predict\` of one image, start included | $((predict / 1000000)) |
| a training step of 4 images, backbone frozen | $((frozen / 1000000)) |
| a training step of 4 images, nothing frozen | $((free / 1000000)) |
EOF
