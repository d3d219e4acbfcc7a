#!/bin/bash
# check_manual.sh DESCRIBE SOURCE: the committed manual pages and completion are what the option tables say; cxr(1) names every
# verb.
set -u
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
sh "$2/tools/write_manual.sh" "$1" "$made" || exit 1
failed=0
for file in docs/man contrib/completion; do
    diff -ru -x cxr.1 "$2/$file" "$made/$file" || failed=1
done
for page in "$made"/docs/man/cxr-*.1; do
    verb=$(basename "$page" .1)
    grep -qF "${verb//-/\\-} (1)" "$2/docs/man/cxr.1" || { echo "cxr.1 does not name $verb"; failed=1; }
done
[[ $failed == 0 ]] || echo "'make manual' writes them anew"
exit $failed
