#!/usr/bin/env bash
# Makes a clean checkout ready to build and test: Debian packages (as root), then node_modules.
# `--demo` asks for what the build needs only, `--e2e` for that and QEMU. Does nothing, quickly, when everything is there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scope=all
[ "${1:-}" = "--demo" ] && scope=build
[ "${1:-}" = "--e2e" ] && scope=e2e

# One line a need: the command or header that proves it, and the Debian package that brings it.
build_needs="
g++ g++
make make
python3 python3
/usr/include/linux/if_tun.h linux-libc-dev
unshare util-linux"
test_needs="
ip iproute2
ping iputils-ping
nft nftables
iptables-nft iptables
sysctl procps
/lib/systemd/systemd-networkd systemd
udevadm udev
dbus-daemon dbus
strace strace
zsh zsh
fish fish
cmake cmake
/usr/include/doctest/doctest.h doctest-dev
clang-14 clang-14
/usr/include/bpf/bpf_helpers.h libbpf-dev
clang++-19 clang-19
/usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.fuzzer-$(uname -m).a libclang-rt-19-dev
valgrind valgrind
clang-format-19 clang-format-19
x86_64-linux-gnu-g++ g++-x86-64-linux-gnu
aarch64-linux-gnu-g++ g++-aarch64-linux-gnu
qemu-system-x86_64 qemu-system-x86
clang-tidy-19 clang-tidy-19"
e2e_needs="
ip iproute2
ping iputils-ping
nft nftables
qemu-system-x86_64 qemu-system-x86"

# Where systemd runs, installing NetworkManager starts it, and it would take the machine's links: only where it does
# not run, or on a machine that is thrown away. Its tests are skipped without it.
if [ ! -d /run/systemd/system ] || [ -n "${CI:-}" ]; then
  test_needs="$test_needs
NetworkManager network-manager"
fi

is_there() {
  case "$1" in
    /*) [ -e "$1" ] ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
  esac
}

# Prints the packages of the needs on stdin that are not met.
missing_of() {
  local proof package
  while read -r proof package; do
    [ -z "$proof" ] || is_there "$proof" || echo "$package"
  done
}

case $scope in
  build) needs=$build_needs ;;
  e2e) needs=$build_needs$e2e_needs ;;
  *) needs=$build_needs$test_needs ;;
esac

missing=$(missing_of <<<"$needs" | tr '\n' ' ')
if [ -n "$missing" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "setup: installing $missing"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # One package that a release does not carry must not keep the others away.
  for package in $missing; do
    apt-get install -y -qq --no-install-recommends "$package" >/dev/null || echo "setup: cannot install $package" >&2
  done
  missing=$(missing_of <<<"$needs" | tr '\n' ' ')
fi
if [ -n "$missing" ]; then
  echo "setup: missing; install with: apt-get install $missing" >&2
  essential=$(missing_of <<<"$build_needs")
  if [ -n "$essential" ]; then
    echo "setup: the addon cannot be built without: $(tr '\n' ' ' <<<"$essential")" >&2
    exit 1
  fi
fi

if [ "$(node -p 'Number(process.versions.node.split(".")[0]) >= 20')" != true ]; then
  echo "setup: Node 20.19 or newer is needed, this is $(node --version)" >&2
  exit 1
fi

# npm writes the inner lockfile last, so a broken install leaves none.
inner=node_modules/.package-lock.json
if [ ! -e "$inner" ] || [ package-lock.json -nt "$inner" ]; then
  echo "setup: npm ci"
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  # npm ci refuses a lockfile that lacks optional packages of other platforms, which a registry mirror may not carry.
  # npm install takes the same locked versions without them.
  if ! npm ci --no-audit --no-fund >"$log" 2>&1; then
    echo "setup: npm ci refused the lockfile; npm install"
    if ! npm install --no-save --no-audit --no-fund; then
      cat "$log" >&2
      exit 1
    fi
  fi
  # npm leaves the file alone when nothing had to change.
  touch "$inner"
fi
