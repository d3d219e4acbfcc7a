#!/bin/bash
# check.sh [--peers | --asan | --tsan]: builds and runs the tests, installing the Debian packages they need.
#   (nothing)  clang -Werror build, suite under ASan + UBSan, loader under TSan, then the suite built by gcc -Werror
#   --peers    all that, and the comparisons with PyTorch, torchvision and scikit-learn, in a virtual environment (.venv)
#   --asan     only the suite under ASan + UBSan
#   --tsan     only the loader's tests under TSan
# Ends with ctest's summary. A skipped test is a failure.
set -eu
cd "$(dirname "$0")"
mode=${1:-}
case $mode in
'' | --peers | --asan | --tsan) ;;
*)
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
jobs=$(nproc)
peers=${CXR_PEERS_PYTHON:-}
unset CXR_PEERS_PYTHON

step() { printf '\n== %s\n' "$*"; }

# build PRESET FOLDER CMAKE-OPTION...
build() {
    local preset=$1 folder=$2
    shift 2
    cmake --preset "$preset" -B "$folder" "$@" >"$folder.log" 2>&1 || { cat "$folder.log"; return 1; }
    cmake --build "$folder" --parallel "$jobs" ${target:+--target "$target"} >"$folder.log" 2>&1 || { cat "$folder.log"; return 1; }
}

# suite FOLDER CTEST-OPTION...: fails when a test does, is skipped or cannot run.
suite() {
    local folder=$1
    shift
    ctest --test-dir "$folder" --output-on-failure --no-tests=error --parallel "$jobs" --output-log "$folder/ctest.log" "$@" ||
        return 1
    if grep -qE '\*\*\*(Skipped|Not Run)' "$folder/ctest.log"; then
        echo "A test was skipped; here that is a failure:"
        grep -E '\*\*\*(Skipped|Not Run)' "$folder/ctest.log"
        return 1
    fi
}

under_asan() {
    step "suite under ASan and UBSan"
    build asan build/asan -DCXR_PEERS_PYTHON=
    ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1 UBSAN_OPTIONS=print_stacktrace=1 suite build/asan -LE 'peers|lint'
}

under_tsan() {
    step "loader under TSan"
    target=test_loader build tsan build/tsan
    TSAN_OPTIONS=halt_on_error=1 suite build/tsan -R '^data/test_loader$'
}

make_peers() {
    [[ -n $peers ]] && return
    step "virtual environment with PyTorch and friends"
    peers=$PWD/.venv/bin/python
    [[ -x $peers ]] || python3 -m venv .venv
    "$peers" -m pip install -q -r tests/peers/requirements.txt
}

step "Debian packages"
if [[ $mode == --peers ]]; then tools/packages.sh peers; else tools/packages.sh check; fi
mkdir -p build
case $mode in
--asan) under_asan ;;
--tsan) under_tsan ;;
*)
    [[ $mode == --peers ]] && make_peers
    [[ $mode == --peers ]] || peers=
    step "clang, warnings as errors"
    CC=clang build dev build/clang
    under_asan
    under_tsan
    step "gcc, warnings as errors; the suite"
    build dev build/dev "-DCXR_PEERS_PYTHON=$peers"
    suite build/dev
    ;;
esac
