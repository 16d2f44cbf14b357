#!/usr/bin/env bash
# Builds forknet and runs a campaign of kills (chaos/) in a network namespace of its own, which goes with it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash scripts/setup.sh
npm run --silent build
exec node --import ./chaos/typescript.mjs chaos/run.ts "$@"
