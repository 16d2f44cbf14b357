#!/usr/bin/env bash
# Builds the plain C++ with AddressSanitizer and UndefinedBehaviorSanitizer and runs its unit tests.
# Needs cmake, g++ and doctest (Debian: doctest-dev). No root but for one test, which says when it is skipped.
# Arguments go to the tests.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build/native

if ! echo '#include <doctest/doctest.h>' | "${CXX:-c++}" -E -x c++ - >/dev/null 2>&1; then
  echo "test-native.sh: doctest/doctest.h is missing. On Debian or Ubuntu: apt-get install doctest-dev cmake g++" >&2
  exit 1
fi

cmake --preset native -S "$root/native" >/dev/null
cmake --build "$build" --parallel "$(nproc)" -- --no-print-directory
exec "$build/forknet_tests" "$@"
