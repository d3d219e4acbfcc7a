#!/bin/bash
# peers.sh [OPTION]...: cxr beside PyTorch, ONNX Runtime and OpenVINO on the same work, threads, images and precision, in turn
# within one run; writes docs/PERFORMANCE.md. It takes half an hour of a machine that does nothing else.
#   --data FOLDER    class folders in train/ and test/        default: phantoms
#   --weights FILE   ImageNet weights (.pth)                  default: random ones
#   --model FILE     a trained model to run                   default: the article recipe, trained here
#   --rows LIST      only these rows; the others keep what an earlier run found (--list shows their names)
#   --quick          3 rounds on fewer images
#   --help           the rest
# CXR_PEERS_VENV names a virtual environment to use; otherwise one is made in .venv-peers (6 GB). Exit status 1 when a row could
# not be filled.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
venv=${CXR_PEERS_VENV:-$root/.venv-peers}
"$root/tools/packages.sh" peers >&2
if [[ -z ${CXR_PEERS_VENV:-} && ! -e $venv/complete ]]; then
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install -q -r "$root/bench/peers/requirements.txt"
    touch "$venv/complete"
fi
(cd "$root" && cmake --preset release && cmake --build build/release --parallel "$(nproc)") >/dev/null
exec "$venv/bin/python" "$root/bench/peers" --cxr "$root/build/release/cxr" --out "$root/docs/PERFORMANCE.md" "$@"
