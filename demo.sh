#!/bin/bash
# demo.sh [DATA]: builds cxr and does the main job with it: trains, evaluates, predicts. DATA is a folder that holds train/ and
# test/, each with one folder per class; without it, synthetic radiographs are made. Ends by naming the run folder and its
# figures.
set -eu
if [[ $# -gt 1 || ${1:-} == -* ]]; then
    sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
data=${1:+$(realpath -- "$1")}
cd "$(dirname "$0")"

step() { printf '\n== %s\n' "$*"; }
show() { # runs a command as a user would type it
    printf '$ %s\n' "$*" >&2
    "$@"
}

step "Debian packages"
tools/packages.sh build

step "Build"
mkdir -p build
{ cmake --preset release && cmake --build build/release --parallel "$(nproc)"; } >build/release.log 2>&1 || {
    tail -n 40 build/release.log
    exit 1
}
export PATH=$PWD/build/release:$PATH

step "Data"
scratch=(--weights none --freeze none --head none --size 64 --batch-size 32 --epochs 4 --optimizer adamw --lr 2e-3
    --schedule onecycle)
if [[ -z $data ]]; then
    data=build/phantoms
    if [[ ! -d $data ]]; then
        rm -rf build/phantoms.part
        show cxr phantom --out build/phantoms.part --train 1200 --val 60 --test 150 --size 128 >/dev/null
        mv build/phantoms.part $data
    fi
    echo "Synthetic radiographs in $data. No ImageNet weights are used: all layers are trained from scratch."
    settings=(--recipe article "${scratch[@]}")
elif show cxr fetch-weights; then
    settings=(--recipe finetune)
else
    echo "No ImageNet weights at hand: training starts from the model that comes with cxr."
    settings=(--recipe finetune --weights cxr)
fi

step "Train"
run=$(show cxr train "$data" --name demo "${settings[@]}")
model=$run/weights/best.safetensors

step "Evaluate"
show cxr evaluate --model "$model" "$data" --out "$run/test" | tee build/figures.txt

step "Predict"
mapfile -t some < <(find "$data/test" -type f | LC_ALL=C sort | awk '{ all[NR] = $0 } END { for (i = 1; i <= 6; i++) print all[int(1 + (i - 1) * (NR - 1) / 5)] }')
show cxr predict --model "$model" "${some[@]}"

step "Predict with the model that comes with cxr"
[[ -n ${1:-} ]] || echo "It knows real radiographs: what it says of synthetic ones means nothing."
show cxr predict "${some[@]}"

figure() { awk -v name="$1" '$1 == name { print $2 }' build/figures.txt; }
step "Done"
cat <<END
Run folder: $run
  results.png               loss curves
  weights/best.safetensors  the model
  test/metrics.json         figures on the test images: accuracy $(figure accuracy), AUROC $(figure auroc),
                            sensitivity $(figure sensitivity), specificity $(figure specificity)
END
