#!/usr/bin/env bash
# Compiles guard.bpf.c into programs.generated.h, so that installing the package needs no clang.
#   generate.sh           writes the header. CLANG names another compiler than the pinned one.
#   generate.sh --check   compares instead. Exit 1: it differs. Exit 77: no clang of the version that wrote it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
header=$here/programs.generated.h
pinned_major=14

version_of() {
  "$1" --version 2>/dev/null | sed -n 's/.*clang version \([0-9][0-9.]*\).*/clang \1/p' | head -n 1
}

build() { # COMPILER OUTPUT
  # mcpu=v3 (32-bit arithmetic and jumps) is in every kernel since 5.1; without it each clang picks its own default.
  # asm/types.h lies in a directory named after the host's architecture, which -target bpf does not look in.
  local arch_includes=()
  for directory in /usr/include/*-linux-gnu; do
    if [ -d "$directory/asm" ]; then arch_includes+=(-idirafter "$directory"); fi
  done
  "$1" -O2 -target bpfel -mcpu=v3 -mllvm -no-stack-slot-sharing -Wall -Wextra -Werror "${arch_includes[@]}" \
    -c "$here/guard.bpf.c" -o "$scratch/guard.o"
  node "$here/extract.mjs" "$scratch/guard.o" "$(version_of "$1")" >"$2"
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

if [ "${1:-}" != --check ]; then
  build "${CLANG:-clang-$pinned_major}" "$scratch/header"
  cp "$scratch/header" "$header"
  exit 0
fi

wanted=$(sed -n 's|^// Compiler: ||p' "$header")
wanted_major=${wanted#clang }
for compiler in ${CLANG:+"$CLANG"} "clang-${wanted_major%%.*}" clang; do
  if [ "$(version_of "$compiler")" = "$wanted" ]; then
    build "$compiler" "$scratch/header"
    diff -u "$header" "$scratch/header" && exit 0
    echo "generate.sh: programs.generated.h is not what guard.bpf.c compiles to; run native/bpf/generate.sh" >&2
    exit 1
  fi
done
echo "generate.sh: Expected $wanted, which wrote programs.generated.h, but found none (set CLANG)" >&2
exit 77
