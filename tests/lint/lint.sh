#!/bin/bash
# lint.sh header|layout|scripts|manual SOURCE
set -eu
cd "$2"
files() { find "$@" -not -path "*/build*/*" -not -path "*/.venv/*" -not -path "*/.venv-peers/*" -type f -print0; }
case $1 in
header) # compiles alone, as C and as C++
    strict="-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -fsyntax-only"
    # shellcheck disable=SC2086 # several words
    ${CC:-cc} -std=c17 -Wstrict-prototypes $strict -x c include/cxr/cxr.h
    # shellcheck disable=SC2086
    ${CXX:-c++} -std=c++17 $strict -x c++ include/cxr/cxr.h
    ;;
layout)
    files . -name "*.[ch]" | xargs -0 clang-format --dry-run --Werror
    ;;
scripts)
    files . -name '*.sh' | xargs -0 shellcheck -x .ci/run contrib/completion/cxr.bash
    ;;
manual)
    mandoc -Tlint -W warning docs/man/*.1
    ;;
*) exit 2 ;;
esac
