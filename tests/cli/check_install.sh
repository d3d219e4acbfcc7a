#!/bin/bash
# check_install.sh BUILD SOURCE: an installed tree, moved elsewhere, is found by pkg-config, and the example builds against it and
# runs with the shared library.
set -eu
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cmake --install "$1" --prefix "$tree/first" >/dev/null
mv "$tree/first" "$tree/moved"
PKG_CONFIG_PATH=$(dirname "$(find "$tree/moved" -name cxr.pc)")
export PKG_CONFIG_PATH
lib=$(pkg-config --variable=libdir cxr)
# shellcheck disable=SC2046 # several words
${CC:-cc} -std=c17 -Wall -Wextra -Werror "$2/examples/classify.c" $(pkg-config --cflags --libs cxr) -o "$tree/classify"
status=0
LD_LIBRARY_PATH=$lib "$tree/classify" >"$tree/out" || status=$?
[[ $status == 2 ]]
grep -qx "cxr $(pkg-config --modversion cxr)" "$tree/out"
"$tree/moved/bin/cxr" --version | grep -qx "cxr $(pkg-config --modversion cxr)"
for file in share/man/man1/cxr.1 share/man/man1/cxr-train.1 share/bash-completion/completions/cxr lib/libcxr.a lib/systemd/system/cxr.service; do
    [[ -s $tree/moved/$file ]] || { echo "$file is not installed"; exit 1; }
done
"$tree/moved/bin/cxr" export --half --out "$tree/model"
cmp "$tree/model" "$2"/models/*.safetensors # found from where the tree lies now, and whole
# Only the public interface is visible.
odd=$(nm -D --defined-only "$lib/libcxr.so" | awk '{ print $3 }' | sort |
    comm -23 - <(grep -o 'cxr_[a-z_]*(' "$tree/moved/include/cxr/cxr.h" | tr -d '(' | sort -u) || true)
[[ -z $odd ]] || { echo "exported but not in the header: $odd"; exit 1; }
