#!/bin/bash
# service.sh UNIT PROGRAM: systemd understands every line of the unit, with PROGRAM as what it runs, and finds it exposed to no more
# than 2.0 of 10.
set -eu
unit=$(mktemp -d)
trap 'rm -rf "$unit"' EXIT
sed "s|^ExecStart=cxr |ExecStart=$2 |" "$1" >"$unit/cxr.service"
grep -qF "ExecStart=$2 serve " "$unit/cxr.service" || { echo "it does not run cxr serve"; exit 1; }
systemd-analyze verify --man=no "$unit/cxr.service" 2>&1 | tee "$unit/said"
[[ ! -s $unit/said ]]
systemd-analyze security --offline=true --threshold=20 --no-pager "$unit/cxr.service"
