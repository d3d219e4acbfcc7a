#!/bin/bash
# check_documents.sh BINDIR SOURCE: every cxr command in the ```sh blocks of README.md, models/README.md and docs/*.md is accepted: its verb,
# options, values and operands. They run against the stand-in, in an empty folder; the model that comes with cxr lies beside it.
set -u
program=$(mktemp -d)
cp "$1/cxr" "$program" && mkdir "$program/models" && touch "$program/models/cxr-pneumonia-resnet18.safetensors" || exit 1
PATH=$program:$PATH
export HOME=/home/someone TERM=dumb
count=0 failed=0
cd "$(mktemp -d)" && mkdir new chest_xray && touch new/a.jpeg || exit 1
while IFS=: read -r file command; do
    count=$((count + 1))
    if ! eval "$command" >/dev/null 2>output </dev/null; then
        echo "FAILED: $file: $command"
        cat output
        failed=1
    fi
done < <(awk '/^```/ { block = ($0 == "```sh"); next }
              block && /(^|\| )cxr / {
                  line = line $0
                  if (sub(/\\$/, "", line)) next
                  print FILENAME ":" line; line = ""; next
              }
              line != "" { line = line $0; if (!sub(/\\$/, "", line)) { print FILENAME ":" line; line = "" } }' \
    "$2"/README.md "$2"/models/README.md "$2"/docs/*.md)
echo "$count commands"
rm -rf "$program"
[[ $failed == 0 && $count -gt 0 ]]
