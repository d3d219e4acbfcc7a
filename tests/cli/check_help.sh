#!/bin/bash
# Every verb's help fits 80 columns (commands of examples apart), shows two examples, and each example parses as the verb it
# shows.
set -u
PATH=$1:$PATH
export COLUMNS=80 HOME=/home/someone TERM=dumb
failed=0
fail() {
    echo "FAILED: $*"
    failed=1
}
verbs=$(cxr --help | sed -n '/^Verbs:/,/^$/s/^  \([a-z-]*\) .*/\1/p')
[[ $(wc -w <<<"$verbs") -ge 6 ]] || fail "cxr --help lists too few verbs: $verbs"
for verb in '' $verbs; do
    # shellcheck disable=SC2086 # no verb is no word
    text=$(cxr $verb --help) || fail "cxr $verb --help: exit $?"
    examples=$(sed -n '/^Examples:/,/^Exit status/p' <<<"$text" | grep -c '^  # ')
    [[ $examples == 2 ]] || fail "cxr $verb --help: $examples examples"
    long=$(sed '/^Examples:/,$d' <<<"$text" | awk 'length > 80')
    [[ -z $long ]] || fail "cxr $verb --help: wider than 80: $long"
    while IFS= read -r command; do
        (cd "$(mktemp -d)" && mkdir chest_xray new && touch new/a.jpeg chest_xray/a.jpeg && eval "$command") >/dev/null 2>&1 ||
            fail "example of '$verb': $command"
    done < <(sed -n '/^Examples:/,/^Exit status/p' <<<"$text" | grep -A1 '^  # ' | grep -E '^  (cxr|find)')
done
exit $failed
