#!/bin/sh
# write_manual.sh DESCRIBE DIR: writes DIR/docs/man/cxr-VERB.1 and DIR/contrib/completion/cxr.bash from the option tables.
set -eu
describe=$1 dir=$2
mkdir -p "$dir/docs/man" "$dir/contrib/completion"
for verb in $("$describe" verbs); do
    "$describe" man "$verb" >"$dir/docs/man/cxr-$verb.1"
done
"$describe" completion >"$dir/contrib/completion/cxr.bash"
