#!/usr/bin/env bash
# Builds forknet when needed and runs `forknet demo` in a network namespace of its own, which goes with it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash scripts/setup.sh --demo
# The demo's own output is what the reader came for: the build speaks only when it fails.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! npm run --silent build >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
if ! unshare --net true 2>/dev/null; then
  echo "demo: a network namespace of its own needs CAP_SYS_ADMIN: run it as root, e.g. sudo npm run demo" >&2
  exit 1
fi
unshare --net node dist/cli/main.js demo "$@"
