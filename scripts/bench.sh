#!/usr/bin/env bash
# Builds forknet and runs the benchmark (bench/run.mjs), whose trials have a network namespace each.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash scripts/setup.sh
bash scripts/setup-bench.sh
npm run --silent build
exec node bench/run.mjs "$@"
