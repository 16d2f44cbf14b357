#!/usr/bin/env bash
# The unit tests and the addon's kernel tests with sanitizers, and the addon under valgrind:
#   npm run sanitize -- [address | thread | valgrind]...        all three when none is named
# Node itself is not instrumented: the sanitizer's runtime is loaded first (LD_PRELOAD), and only the addon is
# watched. Needs what `npm run build` makes. FORKNET_SANITIZE_TESTS chooses the tests: parts of their paths.
# Exits with 77 where it cannot run: no namespaces to be had, or a tool is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

tests=${FORKNET_SANITIZE_TESTS:-test/encode test/kernel/addon- test/kernel/bpf-maps}

needs() {
  "$@" >/dev/null 2>&1 && return 0
  echo "sanitize: cannot run '$*'; see npm run setup" >&2
  exit 77
}

build() {
  cmake --preset "$1" -S native >/dev/null
  cmake --build "build/$1" --parallel "$(nproc)" -- --no-print-directory
}

# in_place_of_the_addon BINARY COMMAND...: tests know one place for the addon; a mount puts another there, for them only.
in_place_of_the_addon() {
  local binary=$1
  shift
  unshare --mount bash -c 'mount --bind "$1" build/Release/forknet.node && shift && exec "$@"' - "$binary" "$@"
}

tests_with() {
  local binary=$1 preload=$2
  # shellcheck disable=SC2086
  in_place_of_the_addon "$binary" env LD_PRELOAD="$preload" FORKNET_REQUIRE_KERNEL=1 \
    node_modules/.bin/vitest run --project encode --project kernel $tests
}

sanitize_address() {
  build native
  build/native/forknet_tests
  # Node keeps what it allocated until the process ends, so leaks are valgrind's part.
  ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
    tests_with "$root/build/native/forknet.node" "$(readlink -f "$(c++ -print-file-name=libasan.so)")"
}

# By clang: with the runtime of g++ 12 in front, bash and python3, which the tests start, do not even begin.
sanitize_thread() {
  build thread
  build/thread/forknet_tests
  # Node's own locks without instructions that the runtime sees would look like races in Node.
  TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1 \
    tests_with "$root/build/thread/forknet.node" "$(clang++-19 -print-file-name="libclang_rt.tsan-$(uname -m).so")"
}

# Node keeps much until the process ends, but loses nothing and reads nothing that was not written: there is nothing
# to suppress. What the addon asked for must be gone by then.
sanitize_valgrind() {
  local log=build/valgrind.log findings
  unshare --net valgrind --quiet --smc-check=all-non-file --keep-debuginfo=yes --leak-check=full --show-leak-kinds=all \
    --num-callers=30 --log-file="$log" node test/support/addon-load.mjs build/Release/forknet.node
  findings=$(awk -v RS='==[0-9]+== *\n' '/forknet\.node/ || /==/ && !/still reachable|possibly lost|Warning: set/' "$log")
  [ -z "$findings" ] && return 0
  echo "$findings" >&2
  return 1
}

needs unshare --mount --net true
needs clang++-19 --version
needs valgrind --version
for part in "${@:-}"; do
  for name in ${part:-address thread valgrind}; do
    echo "sanitize: $name"
    "sanitize_$name"
  done
done
