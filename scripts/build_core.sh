#!/usr/bin/env bash
# Build the compiled core in place (src/cynosure/_core*.so), for work in a checkout. Needs what the extra `build` names
# beside torch in the active environment. Extra arguments go to cmake, as in -DCMAKE_BUILD_TYPE=Debug.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake -S . -B build/core -G Ninja -DCMAKE_BUILD_TYPE=Release -DPython_EXECUTABLE="$(command -v python)" "$@" >/dev/null
cmake --build build/core

# A function that several instruction sets compile under one name is kept once by the linker: from the widest set, it
# would crash on a processor without it (csrc/kernels.cpp). DW.ref is data.
if command -v nm >/dev/null; then
  shared="$(nm -C build/core/CMakeFiles/kernels_*.dir/csrc/kernels.cpp.o |
    grep -E ' [WVu] ' | grep -vE ' cynosure::(portable|neon|avx2|avx512)::| DW\.ref\.' || true)"
  if [ -n "$shared" ]; then
    printf '%s\nscripts/build_core.sh: these functions of csrc/kernels.cpp are outside the namespaces of the instruction sets\n' \
      "$shared" >&2
    exit 1
  fi
fi

# (Replaced at once, so that a process that starts now finds the old one or the new one.)
built=(build/core/_core*.so)
name="$(basename "${built[0]}")"
cp "${built[0]}" "src/cynosure/.$name.new"
mv "src/cynosure/.$name.new" "src/cynosure/$name"
