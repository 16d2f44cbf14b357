#!/usr/bin/env bash
# Everything a change has to pass: set-up, build, native tests, types, lint, and the vitest projects.
# Goes on after a failing part. The last line is "N passed, N failed", with ", N skipped" when something was.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

results=build/test-results
rm -rf "$results"
mkdir -p "$results"

passed=0
failed=0
skipped=0
broken=""

count() {
  passed=$((passed + $1))
  failed=$((failed + $2))
  skipped=$((skipped + $3))
}

# A part without cases of its own counts as one.
step() {
  local name=$1
  shift
  echo "== $name"
  "$@"
  judge "$name" $?
}

# 77: a tool that the part needs is not here.
judge() {
  local name=$1 status=$2
  if [ "$status" = 0 ]; then
    count 1 0 0
  elif [ "$status" = 77 ] && [ "${FORKNET_REQUIRE_KERNEL:-}" != 1 ]; then
    count 0 0 1
  else
    count 0 1 0
    broken="$broken $name"
  fi
}

# A part that wants the processor while the kernel's tests, for the most part, wait: it gets what they leave.
begin_beside() {
  local name=$1
  shift
  nice -n 19 "$@" >"$results/$name.log" 2>&1 &
  beside=$!
}
end_beside() {
  local name=$1
  echo "== $name"
  wait "$beside"
  local status=$?
  cat "$results/$name.log"
  judge "$name" "$status"
}

# What the rest rests on: counted only when it fails.
need() {
  local name=$1
  shift
  echo "== $name"
  "$@" && return 0
  count 0 1 0
  broken="$broken $name"
  finish
}

finish() {
  [ -z "$broken" ] || echo "failed parts:$broken"
  local line="$passed passed, $failed failed"
  [ "$skipped" -eq 0 ] || line="$line, $skipped skipped"
  echo "$line"
  [ "$failed" -eq 0 ] || exit 1
  exit 0
}

# doctest ends with "[doctest] test cases: 12 | 12 passed | 0 failed | 0 skipped", once a binary.
native_tests() {
  echo "== native"
  local log=$results/native.log status cases
  bash scripts/test-native.sh 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  cases=$(sed 's/\x1b\[[0-9;]*m//g' "$log" |
    sed -nE 's/.*test cases: *[0-9]+ *\| *([0-9]+) passed *\| *([0-9]+) failed *\| *([0-9]+) skipped.*/\1 \2 \3/p' |
    awk '{ p += $1; f += $2; s += $3 } END { print p + 0, f + 0, s + 0 }')
  # A run that ended badly, or that ran nothing, is a failure of its own.
  case "$status:$cases" in
    0:"0 0 "*) cases="0 1 0" ;;
    0:*) ;;
    *:*" 0 "*) cases=$(awk '{ print $1, 1, $3 }' <<<"$cases") ;;
  esac
  # shellcheck disable=SC2086
  count $cases
  [ "$(cut -d' ' -f2 <<<"$cases")" = 0 ] || broken="$broken native"
}

# Prints "passed failed skipped" of a vitest JSON report; a file that failed outside its tests counts as one failure.
tally_vitest() {
  node -e '
    const { readFileSync } = require("node:fs");
    const [path, skipsFail, status] = process.argv.slice(1);
    let passed = 0, failed = 0, skipped = 0;
    try {
      for (const file of JSON.parse(readFileSync(path, "utf8")).testResults) {
        const states = file.assertionResults.map((test) => test.status);
        passed += states.filter((state) => state === "passed").length;
        skipped += states.filter((state) => state !== "passed" && state !== "failed").length;
        const broken = states.filter((state) => state === "failed").length;
        failed += broken === 0 && file.status === "failed" ? 1 : broken;
      }
    } catch (error) {
      console.error(`test: no vitest report: ${error.message}`);
    }
    if (skipsFail === "1") [failed, skipped] = [failed + skipped, 0];
    if ((status !== "0" || passed + skipped === 0) && failed === 0) failed = 1;
    console.log(passed, failed, skipped);
  ' "$@"
}

# One virtual machine. Without QEMU it is skipped, also in CI: emulation is a tool, not the kernel under test.
short_e2e() {
  echo "== e2e"
  bash scripts/setup.sh --e2e && bash scripts/e2e.sh --ready
  local status=$?
  [ "$status" = 0 ] && { timeout -s KILL 60 bash scripts/e2e.sh --run --short; status=$?; }
  case $status in
    0) count 1 0 0 ;;
    77) count 0 0 1 ;;
    *) count 0 1 0; broken="$broken e2e" ;;
  esac
}

vitest_project() {
  local name=$1 report=$results/$1.json status cases skips_fail=0
  echo "== $name"
  node_modules/.bin/vitest run --project "$name" --reporter=default --reporter=json --outputFile.json="$report"
  status=$?
  [ "$name" = kernel ] && [ "${FORKNET_REQUIRE_KERNEL:-}" = 1 ] && skips_fail=1
  cases=$(tally_vitest "$report" "$skips_fail" "$status")
  # shellcheck disable=SC2086
  count $cases
  [ "$(cut -d' ' -f2 <<<"$cases")" = 0 ] || broken="$broken $name"
}

need setup bash scripts/setup.sh
need build npm run --silent build

native_tests
step fuzz node scripts/fuzz.mjs --seconds 2
step sanitize bash scripts/sanitize.sh address valgrind
FORKNET_SANITIZE_TESTS=test/kernel/addon-threads step threads bash scripts/sanitize.sh thread
step types bash scripts/lint.sh types
step lint bash scripts/lint.sh biome oxlint format bpf length
step packages bash scripts/lint.sh api docs package
step mutants npm run --silent mutants -- --short
vitest_project unit
vitest_project encode
begin_beside tidy bash scripts/lint.sh tidy
vitest_project kernel
end_beside tidy
short_e2e
finish
