#!/bin/bash
# packages.sh build|check|peers: installs the Debian packages that are missing, with sudo when not root. Where it may not, it
# prints the command that someone who may can run, and fails.
set -eu
packages="build-essential cmake ninja-build pkg-config libdnnl-dev ocl-icd-opencl-dev libturbojpeg0-dev libjpeg62-turbo-dev
    libspng-dev libjansson-dev libcairo2-dev libzip-dev libexif-dev libcsv-dev libtomlplusplus-dev libisal-dev libcurl4-openssl-dev
    libmicrohttpd-dev liblapacke-dev ca-certificates libssl-dev libseccomp-dev zlib1g-dev"
case ${1:-} in
build) ;;
check) packages+=" libcmocka-dev clang clang-format shellcheck mandoc man-db bsdutils systemd valgrind python3-minimal" ;;
peers) packages+=" libcmocka-dev clang clang-format shellcheck mandoc man-db bsdutils systemd valgrind python3 python3-dev python3-venv
    chromium chromium-driver" ;;
*)
    echo "usage: packages.sh build|check|peers" >&2
    exit 2
    ;;
esac

missing=()
for package in $packages; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
[[ ${#missing[@]} == 0 ]] && exit 0

install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}")
echo "packages to install: ${missing[*]}" >&2
if [[ $(id -u) == 0 ]]; then
    apt-get update -q >&2 && "${install[@]}" >&2 && exit 0
elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [[ -t 0 ]]; }; then
    sudo apt-get update -q >&2 && sudo "${install[@]}" >&2 && exit 0
fi
echo "These packages could not be installed from here. Run this, then try again:" >&2
echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
exit 1
