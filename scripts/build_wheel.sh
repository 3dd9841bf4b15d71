#!/usr/bin/env bash
# Build and repair one Linux wheel for this machine's Python into dist/. It is tagged for the C library here or newer;
# wheels for older systems come from cibuildwheel (.github/workflows/wheels.yml). Needs the extra `build`.
set -euo pipefail
cd "$(dirname "$0")/.."
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python -m pip wheel . --no-deps --wheel-dir "$folder" -c constraints.txt
# torch brings libgomp.so.1; a copy of our own would be a second thread pool (CMakeLists.txt).
python -m auditwheel repair --exclude libgomp.so.1 --wheel-dir dist "$folder"/cynosure-*.whl
if unzip -l dist/cynosure-*.whl 2>/dev/null | grep -i libgomp; then
  echo "scripts/build_wheel.sh: the wheel carries an OpenMP runtime of its own" >&2
  exit 1
fi
