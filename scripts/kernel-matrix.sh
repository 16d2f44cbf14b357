#!/usr/bin/env bash
# Runs kernel tests on other kernels: for each of `kernels` a virtual machine (kernel-vm.sh), one after the other.
#   --kernel SERIES   only that one
#   --report          writes docs/kernels.md, from the last run of each kernel on this machine
#   FILE...           these test files instead of all but those left out below
# Fails when a test does. 77: QEMU, virtiofsd or a kernel cannot be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Series, and the Debian package that stands for its newest kernel.
kernels="
6.1 linux-image-cloud-amd64
6.12 linux-image-6.12-cloud-amd64"

left_out="
# Each goes through every plan or thousands of guests again and again: minutes here, hours in emulation.
bench chaos soak interleavings
faults-adopt faults-close faults-groups faults-kinds faults-open faults-plans faults-steps
# Goodput to a few percent, which emulated machines miss on either kernel, in other rates each time.
traffic-adoption traffic-groups traffic-rates traffic-sharing traffic-update
# About the host's programs, daemons and package manager.
doctor doctor-ports host-drop-ins nat-hosts package qemu unit-file
# About this process, its files and what it prints: the kernel has no part in what they prove.
abort addon-lock addon-threads cli-change cli-commands cli-status control examples lock lock-handover readme requests
store-damage store-disk telemetry telemetry-contract telemetry-dashboard"

command="npm run test:kernel-matrix --${*:+ $*}"
report=
only=
files=()
while [ $# -gt 0 ]; do
  case $1 in
    --report) report=1 ;;
    --kernel)
      only=${2:?--kernel needs a series}
      shift
      ;;
    *) files+=("$1") ;;
  esac
  shift
done
if [ -n "$only" ] && ! grep -q "^$only " <<<"$kernels"; then
  echo "kernel-matrix: Expected one of$(awk 'NF { printf " %s", $1 }' <<<"$kernels") for --kernel, but received $only" >&2
  exit 1
fi
if [ ${#files[@]} = 0 ]; then
  without=$(sed 's/^#.*//' <<<"$left_out" | tr -s ' \n' '|' | sed 's/^|//; s/|$//')
  mapfile -t files < <(printf '%s\n' test/kernel/*.test.ts | grep -vE "/($without)\.test\.ts$")
fi

bash scripts/setup.sh --e2e
if ! PATH=$PATH:/usr/lib/qemu:/usr/libexec command -v virtiofsd >/dev/null || ! command -v qemu-system-x86_64 >/dev/null; then
  echo "kernel-matrix: there is no QEMU with virtiofsd" >&2
  exit 77
fi
[ "${FORKNET_BUILT:-}" = 1 ] || npm run --silent build

matrix=$PWD/build/guest/matrix
status=0
while read -r series meta; do
  [ -n "$series" ] || continue
  [ -z "$only" ] || [ "$only" = "$series" ] || continue
  outcome=0
  mkdir -p "$matrix/$series"
  node scripts/kernel-report.mjs begin "$matrix/$series"
  # QEMU must not read the list.
  bash scripts/kernel-vm.sh "$series" "$meta" "$matrix/$series" "${files[@]}" </dev/null || outcome=$?
  [ "$outcome" != 77 ] || exit 77
  [ "$outcome" = 0 ] || status=1
  node scripts/kernel-report.mjs end "$matrix/$series" "$command"
done <<<"$kernels"
[ -z "$report" ] || node scripts/kernel-report.mjs document "$matrix"
exit $status
