#!/usr/bin/env bash
# What the benchmark's peers need on top of scripts/setup.sh (as root, on Debian): Go with its netlink library for
# the usual way, iproute2, and g++ for the kernel's floor. Does nothing, quickly, when everything is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# One line a need: the command or directory that proves it, and the Debian package that brings it.
needs="
g++ g++
ip iproute2
unshare util-linux
go golang-go
/usr/share/gocode/src/github.com/vishvananda/netlink golang-github-vishvananda-netlink-dev"

missing_packages() {
  local proof package
  while read -r proof package; do
    case "$proof" in
      "") ;;
      /*) [ -e "$proof" ] || echo "$package" ;;
      *) command -v "$proof" >/dev/null 2>&1 || echo "$package" ;;
    esac
  done <<<"$needs"
}

missing=$(missing_packages | tr '\n' ' ')
[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "setup-bench: installing $missing"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  for package in $missing; do
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
      echo "setup-bench: cannot install $package" >&2
  done
  missing=$(missing_packages | tr '\n' ' ')
fi
# The harness leaves out a peer that cannot be built, and says so.
[ -z "$missing" ] || echo "setup-bench: missing; install with: apt-get install $missing" >&2
