#!/bin/bash
# peers.sh [OPTION]...: cxr beside PyTorch, ONNX Runtime and OpenVINO on the same work, threads, images and precision, in turn
# within one run; writes docs/PERFORMANCE.md.
#   --data FOLDER    class folders in train/ and test/        default: phantoms
#   --weights FILE   ImageNet weights (.pth)                  default: random ones
#   --model FILE     a trained model to run                   default: one trained here, an epoch long
#   --rows LIST      only these rows; the others keep what an earlier run found (--list shows their names)
#   --quick          2 or 3 minutes instead of 20
#   --help           the rest
# CXR_PEERS_VENV names a virtual environment to use; otherwise one is made in .venv-peers.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
venv=${CXR_PEERS_VENV:-$root/.venv-peers}
if [[ ! -x $venv/bin/python ]]; then
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install -q -r "$root/bench/peers/requirements.txt"
fi
if [[ ! -x $root/build/release/cxr ]]; then
    (cd "$root" && cmake --preset release && cmake --build build/release --parallel "$(nproc)") >&2
fi
exec "$venv/bin/python" "$root/bench/peers" --cxr "$root/build/release/cxr" --out "$root/docs/PERFORMANCE.md" "$@"
