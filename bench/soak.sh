#!/bin/bash
# soak.sh [--seconds N] [--build FOLDER] [--strict]: the server of a build (default build/dev) under honest, slow and hostile clients at
# once, with reloads, for N seconds (default 1800), then fifty times SIGTERM under load. Works with the asan and tsan presets' builds,
# which it makes where they are not there. --strict: slow connections may at most double the honest clients' 99th percentile.
set -eu
cd "$(dirname "$0")/.."
seconds=1800 build=build/dev strict=()
while [[ $# -gt 0 ]]; do
    case $1 in
    --seconds) seconds=$2 && shift ;;
    --build) build=$2 && shift ;;
    --strict) strict=(strict) ;;
    *)
        sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
    shift
done
export OMP_WAIT_POLICY=passive LSAN_OPTIONS=suppressions=$PWD/tests/lsan.supp:print_suppressions=0
export ASAN_OPTIONS=detect_leaks=1:quarantine_size_mb=8 TSAN_OPTIONS=suppressions=$PWD/tests/tsan.supp:halt_on_error=1:exitcode=66
[[ -f $build/CMakeCache.txt ]] || cmake --preset "${build##*/}" -B "$build"
cmake --build "$build" --target cxr serve_soak test_drain
"$build/tests/serve_soak" "$build/cxr" tests/fixtures "$seconds" "${strict[@]}"
"$build/tests/test_drain" 50
