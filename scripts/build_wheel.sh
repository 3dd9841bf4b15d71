#!/usr/bin/env bash
# Build and repair one Linux wheel for this machine's Python into dist/. It is tagged for the C library here or newer;
# wheels for older systems come from cibuildwheel (.github/workflows/wheels.yml). Needs the extra `build`.
set -euo pipefail
cd "$(dirname "$0")/.."
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python -m pip wheel . --no-deps --wheel-dir "$folder" -c constraints.txt
# torch brings libgomp.so.1; a copy of our own would be a second thread pool (CMakeLists.txt).
python -m auditwheel repair --exclude libgomp.so.1 --wheel-dir "$folder/repaired" "$folder"/cynosure-*.whl
wheel="$(echo "$folder"/repaired/*.whl)"
contents="$(python -m zipfile -l "$wheel")"
if ! grep -q 'cynosure/_core\..*\.so' <<<"$contents" || grep -qi 'libgomp' <<<"$contents"; then
  printf '%s\nscripts/build_wheel.sh: a wheel with the compiled core and without libgomp was expected\n' "$contents" >&2
  exit 1
fi
mkdir -p dist
mv "$wheel" dist/
