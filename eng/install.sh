#!/bin/sh
# Installs the Debian packages that a target needs and that are missing: install.sh build|run|test
# Idempotent and quiet when there is nothing to do. Runs as root or through sudo.
set -eu
run="ca-certificates curl conmon runc iproute2 nftables util-linux dpkg procps busybox-static docker-registry umoci skopeo kmod"
build="clang zlib1g-dev"
test="socat crun faketime"
case "${1:-}" in
  build) wanted="$build" ;;
  run) wanted="$build $run" ;;
  test) wanted="$build $run $test" ;;
  *) echo "usage: $0 build|run|test" >&2; exit 2 ;;
esac
# kubectl is what people use with it; an own one, of whatever version, is left alone.
case "${1:-}" in run | test) command -v kubectl >/dev/null || wanted="$wanted kubernetes-client" ;; esac
missing=""
for package in $wanted; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
# A container runtime is enough: crun, where the host already has it, counts.
[ -n "$missing" ] || exit 0
sudo=""
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "error: packages are missing ($missing) and neither root nor sudo is at hand" >&2; exit 1; }
  sudo="sudo"
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086
$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
# The registry package starts a service of its own on port 5000; Atoll starts one where it needs it.
if command -v systemctl >/dev/null && [ -d /run/systemd/system ]; then $sudo systemctl disable --now docker-registry >/dev/null 2>&1 || true; fi
