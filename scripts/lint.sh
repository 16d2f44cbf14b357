#!/usr/bin/env bash
# Runs every style and type check, or those that are named: biome oxlint types format tidy bpf length
# api docs package. The last three read dist/: build first.
# Goes on after a failing check. A missing tool is a message here and a failure in CI.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

longest_file=300
failed=""

is_strict() { [ -n "${CI:-}" ] || [ "${FORKNET_REQUIRE_KERNEL:-}" = 1 ]; }

# Tracked files and new ones that are not ignored, under the given paths; deleted ones are left out.
files_in() {
  git ls-files --cached --others --exclude-standard -- "$@" | sort -u | while read -r file; do
    [ -f "$file" ] && echo "$file"
  done
}

# Says that a tool is missing; fails where a run without it would prove nothing.
needs_tool() {
  command -v "$1" >/dev/null 2>&1 && return 0
  echo "lint: $1 is not installed; run: npm run setup" >&2
  return 1
}

lint_biome() { node_modules/.bin/biome check --error-on-warnings .; }

lint_oxlint() {
  # Type-aware rules need a second program: a floating promise that goes unreported means that they do not run.
  local canary
  canary=$(mktemp -d ./lint-canary.XXXXXX) || return 1
  printf 'async function work(): Promise<void> {}\nexport function start(): void {\n  work();\n}\n' >"$canary/floating.ts"
  local report
  report=$(node_modules/.bin/oxlint --type-aware "$canary" 2>&1)
  rm -r "$canary"
  if [[ $report != *no-floating-promises* ]]; then
    echo "lint: oxlint does not report a floating promise: $report" >&2
    return 1
  fi
  node_modules/.bin/oxlint --type-aware --deny-warnings .
}

lint_types() { node_modules/.bin/tsc -p tsconfig.json && node_modules/.bin/tsc -p bench &&
  node_modules/.bin/tsc -p soak && node_modules/.bin/tsc -p mutants; }

lint_format() {
  needs_tool clang-format-19 || return 2
  local files
  mapfile -t files < <(files_in 'native/*.cc' 'native/*.h' 'native/*.c' | grep -v generated)
  [ ${#files[@]} -eq 0 ] || clang-format-19 --dry-run -Werror "${files[@]}"
}

# Two builds: the fuzz targets are clang's alone.
lint_tidy() {
  needs_tool clang-tidy-19 && needs_tool cmake && needs_tool clang++-19 || return 2
  local preset status=0
  for preset in native fuzz; do
    [ -e "build/$preset/compile_commands.json" ] || cmake --preset "$preset" -S native >/dev/null || return 1
    node -e '
      const { readFileSync } = require("node:fs");
      const [database, preset] = process.argv.slice(1);
      const here = process.cwd() + "/native/";
      for (const { file } of JSON.parse(readFileSync(database, "utf8"))) {
        const isOut = file.startsWith(here + "test/");
        if (file.startsWith(here) && !isOut && file.startsWith(here + "fuzz/") === (preset === "fuzz"))
          console.log(file);
      }
    ' "build/$preset/compile_commands.json" "$preset" | sort -u |
      xargs -r -P "$(nproc)" -n 1 clang-tidy-19 -p "build/$preset" --quiet --warnings-as-errors='*' \
        2> >(grep -v 'warnings\? generated' >&2) || status=1
  done
  return "$status"
}

# The checked-in bytecode is what its source compiles to. 77: the compiler that wrote it is not here.
lint_bpf() {
  bash native/bpf/generate.sh --check
  case $? in
    0) return 0 ;;
    77) return 2 ;;
    *) return 1 ;;
  esac
}

lint_length() {
  local file lines status=0
  while read -r file; do
    lines=$(wc -l <"$file")
    if [ "$lines" -gt "$longest_file" ]; then
      echo "lint: $file has $lines lines, more than $longest_file" >&2
      status=1
    fi
  done < <(files_in 'src/*' 'native/*' 'test/*' 'chaos/*' | grep -v -e generated -e native/fuzz/corpus)
  return "$status"
}

# The checked-in report of the public API is what dist/ has.
lint_api() {
  local report
  report=$(node_modules/.bin/api-extractor run 2>&1) && return 0
  echo "$report" >&2
  diff -u etc/forknet.api.md build/api/forknet.api.md >&2
  echo "lint: the public API changed; if that is meant: npm run api" >&2
  return 1
}

lint_docs() { node_modules/.bin/typedoc --emit none --logLevel Warn; }

# The packages as they are published: what a consumer of either module system and of the types would meet.
lint_package() {
  local tarballs tarball status=0
  tarballs=$(node scripts/packages.mjs)
  case $? in
    0) ;;
    77) return 2 ;;
    *) return 1 ;;
  esac
  for tarball in $tarballs; do
    node_modules/.bin/publint --strict "$tarball" >build/publint.log || { cat build/publint.log >&2; status=1; }
  done
  # The first is the main one; it is for import only.
  node_modules/.bin/attw --profile esm-only "${tarballs%%$'\n'*}" >build/attw.log || { cat build/attw.log >&2; status=1; }
  return "$status"
}

for check in "${@:-}"; do
  for name in ${check:-biome oxlint types format tidy bpf length api docs package}; do
    started=$SECONDS
    "lint_$name"
    case $? in
      0) echo "lint: $name ok ($((SECONDS - started)) s)" ;;
      2) is_strict && failed="$failed $name" ;;
      *) failed="$failed $name" ;;
    esac
  done
done
if [ -n "$failed" ]; then
  echo "lint: failed:$failed" >&2
  exit 1
fi
