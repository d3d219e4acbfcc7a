#!/bin/bash
# run_cases.sh BINDIR FILE...: each line "STATUS :: out|err: TEXT :: COMMAND" runs COMMAND with BINDIR first in PATH, in an
# empty folder, and wants that exit status, TEXT in that stream ("out: " alone: anything), and no temporary file left there.
# Fails when any case does. CASES_FOLDERS: names of folders that stand there before each case.
set -u
PATH=$1:$PATH
shift
unset FAKE_STATUS FAKE_RAISE XDG_CACHE_HOME https_proxy HTTPS_PROXY all_proxy ALL_PROXY NO_COLOR
export HOME=/home/someone COLUMNS=80 LC_ALL=C.UTF-8 TERM=dumb
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
count=0 failed=0
while IFS= read -r line; do
    [[ -z $line || $line == \#* ]] && continue
    wanted=${line%% :: *} rest=${line#* :: }
    check=${rest%% :: *} command=${rest#* :: }
    stream=${check%%:*} text=${check#*: }
    rm -rf "$work/here" && mkdir "$work/here"
    for folder in ${CASES_FOLDERS:-}; do mkdir "$work/here/$folder"; done
    (cd "$work/here" && eval "$command") >"$work/out" 2>"$work/err" </dev/null
    status=$?
    count=$((count + 1))
    left=$(find "$work/here" -name '*.tmp.*')
    if [[ $status != "$wanted" || -n $left ]] || { [[ -n $text ]] && ! grep -qF -- "$text" "$work/$stream"; }; then
        failed=$((failed + 1))
        printf 'FAILED: %s\n  exit %s, wanted %s; wanted in %s: %s\n' "$command" "$status" "$wanted" "$stream" "$text"
        [[ -z $left ]] || echo "  left: $left"
        sed 's/^/  out> /' "$work/out" | head -n 20
        sed 's/^/  err> /' "$work/err" | head -n 20
    fi
done < <(cat "$@")
echo "$((count - failed)) of $count cases passed"
[[ $failed == 0 && $count -gt 0 ]]
