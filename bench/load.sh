#!/bin/bash
# load.sh [--clients N] [--requests N] [--build FOLDER] [--images FOLDER] [--batch N] [--model FILE] [--precision P] [SERVE OPTION]...:
# clients (default 64) ask the server of a build (default build/dev) at once, as often as --requests says each (default 2000), each time
# about another phantom, and compare each answer with what `cxr predict --deterministic` says of that image: none may be wrong,
# another image's, or lost. Prints requests a second and percentiles of the latency. --images: the images of a folder instead of phantoms.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
clients=64 requests=2000 build=$root/build/dev images='' batch=1 model=() options=()
while [[ $# -gt 0 ]]; do
    case $1 in
    --clients) clients=$2 && shift ;;
    --requests) requests=$2 && shift ;;
    --build) build=$2 && shift ;;
    --images) images=$2 && shift ;;
    --batch) batch=$2 && shift ;;
    --model | --precision) model+=("$1" "$2") && shift ;;
    --help)
        sed -n '2,5s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *) options+=("$1") ;;
    esac
    shift
done
scratch=$(mktemp -d) server=''
finish() {
    [[ -z $server ]] || kill "$server" 2>/dev/null || true
    rm -rf "$scratch"
}
trap finish EXIT
if [[ -z $images ]]; then
    images=$scratch/phantoms/test
    "$build/cxr" phantom --out "$scratch/phantoms" --train 1 --val 1 --test $(((clients * requests + 1) / 2)) --size 128 >/dev/null
fi
"$build/cxr" predict --deterministic --batch-size "$batch" --format jsonl --quiet "${model[@]}" "$images" >"$scratch/answers"
"$build/cxr" serve --port 0 --batch "$batch" "${model[@]}" "${options[@]}" >/dev/null 2>"$scratch/log" &
server=$!
for _ in $(seq 600); do
    port=$(sed -n 's,.*listening on http://127\.0\.0\.1:\([0-9]*\).*,\1,p' "$scratch/log")
    if [[ -n $port ]] || ! kill -0 "$server" 2>/dev/null; then break; fi
    sleep 0.1
done
[[ -n $port ]] || { cat "$scratch/log" >&2 && exit 1; }
"$build/tests/serve_load" "$port" /predict "$scratch/answers" "$clients" "$requests"
kill "$server"
wait "$server"
server=
