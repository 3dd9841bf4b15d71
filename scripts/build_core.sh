#!/usr/bin/env bash
# Build the compiled core in place (src/cynosure/_core*.so), for work in a checkout. Needs cmake, ninja and nanobind
# beside torch in the active environment. Extra arguments go to cmake, as in -DCMAKE_BUILD_TYPE=Debug.
set -euo pipefail
cd "$(dirname "$0")/.."
cmake -S . -B build/core -G Ninja -DCMAKE_BUILD_TYPE=Release -DPython_EXECUTABLE="$(command -v python)" "$@" >/dev/null
cmake --build build/core
rm -f src/cynosure/_core*.so
cp build/core/_core*.so src/cynosure/
