#!/bin/sh
# Unpacks Debian's kubectl (1.20) under artifacts/tools for the conformance tests. Nothing on the machine is replaced:
# the package is downloaded and unpacked, not installed. Does nothing when it is there already.
set -eu
root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
target="$root/artifacts/tools/kubectl-1.20"
[ -x "$target/usr/bin/kubectl" ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# apt drops its privileges for the download; the folder must be open to it.
chmod 755 "$work"
[ "$(id -u)" = 0 ] && chown _apt "$work" 2>/dev/null || true
(cd "$work" && apt-get download kubernetes-client)
mkdir -p "$target"
dpkg-deb -x "$work"/kubernetes-client_*.deb "$target"
"$target/usr/bin/kubectl" version --client
