#!/bin/bash
# The completion offers every verb, every option that a verb's help shows, and the words an option takes.
set -u
PATH=$1:$PATH
# shellcheck source=/dev/null
source "$2/contrib/completion/cxr.bash"
failed=0
fail() {
    echo "FAILED: $*"
    failed=1
}
complete_line() { # words of the line, the last being completed
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    COMPREPLY=()
    _cxr 2>/dev/null
    printf '%s\n' "${COMPREPLY[@]}"
}
verbs=$(cxr --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z-]*\) .*/\1/p')
for verb in $verbs; do
    complete_line cxr "" | grep -qx -- "$verb" || fail "verb $verb is not offered"
    for option in $(cxr "$verb" --help | sed -n 's/^  \(-.,\|   \) \(--[a-z-]*\).*/\2/p'); do
        complete_line cxr "$verb" -- | grep -qx -- "$option" || fail "cxr $verb $option is not offered"
    done
done
[[ $(complete_line cxr train --optimizer ad) == $'adam\nadamw' ]] || fail "words of --optimizer"
[[ $(complete_line cxr tr) == train ]] || fail "cxr tr"
[[ $(complete_line cxr train --lr "") == "" ]] || fail "a number has no completion"
cd "$(mktemp -d)" && mkdir folder && touch file
[[ $(complete_line cxr train f) == $'file\nfolder' || $(complete_line cxr train f) == $'folder\nfile' ]] || fail "operands are files"
[[ $(complete_line cxr train --out f) == folder ]] || fail "--out is a folder"
exit $failed
