#!/usr/bin/env bash
# Builds forknet and the guests' image and runs virtual machines on it (e2e/), in namespaces of the run's own,
# which go with it. `--ready` only makes ready, `--run` only runs. 77: QEMU or the image cannot be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

part=${1:-}
if [ "$part" != --run ]; then
  [ "$part" = --ready ] || bash scripts/setup.sh --e2e
  command -v qemu-system-x86_64 >/dev/null || { echo "e2e: there is no qemu-system-x86_64" >&2; exit 77; }
  bash scripts/guest-image.sh
  [ "$part" != --ready ] || exit 0
  npm run --silent build
else
  shift
fi
# A process namespace, too: however the run ends, its virtual machines end with it.
exec unshare --pid --fork --mount-proc --kill-child node --import ./chaos/typescript.mjs e2e/run.ts "$@"
