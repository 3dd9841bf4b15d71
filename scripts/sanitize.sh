#!/usr/bin/env bash
# The core's tests under the address and undefined-behaviour sanitizers, in a folder of their own (Linux, GCC).
# Needs what scripts/build_core.sh needs, and pytest. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cp -r src/cynosure "$folder/cynosure"
rm -f "$folder"/cynosure/_core*.so

# (Kernels at -O1: at -O3 the checks make their compilation take many minutes. So do those for null and for alignment at
# every load: the address sanitizer finds the first, and vectors may lie anywhere. The kernels for AVX-512 are the same
# source as the two others, with other widths; sanitized, they take the compiler half an hour and 7 GB, and are left
# out. NDEBUG stays off.)
checks="-fsanitize=address,undefined -fno-sanitize=null,object-size,alignment"
cmake -S . -B "$folder/build" -G Ninja -DCMAKE_BUILD_TYPE=None -DPython_EXECUTABLE="$(command -v python)" \
  -DCYNOSURE_KERNEL_OPTIMISATION=-O1 -DCYNOSURE_AVX512=OFF \
  -DCMAKE_CXX_FLAGS="-O1 -g1 -fno-omit-frame-pointer $checks -fno-sanitize-recover=all" >/dev/null
cmake --build "$folder/build"
cp "$folder"/build/_core*.so "$folder/cynosure/"

# The address sanitizer must be the first library of the process, and python itself does not link libstdc++, whose
# __cxa_throw it wraps. Python leaks at exit by design, hence no leak check.
LD_PRELOAD="$(g++ -print-file-name=libasan.so) $(g++ -print-file-name=libstdc++.so)"
export LD_PRELOAD PYTHONPATH="$folder" OMP_NUM_THREADS=2
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1

# Without the core its tests would be skipped, and nothing tested.
python - "$folder" <<'PYTHON'
import sys
from cynosure.kernels import core
assert core.available() and core.module().__file__.startswith(sys.argv[1]), "the sanitized core did not load"
PYTHON
# (--capture=sys: a report goes to the process's own standard error, which pytest would otherwise keep and lose.)
# (The tests of each instruction set run themselves once more; one round under the sanitizers is enough for those of
# whole networks.)
python -m pytest -n0 -p no:cacheprovider --capture=sys -q tests/kernels "$@"
python -m pytest -n0 -p no:cacheprovider --capture=sys -q tests/potentials/test_evaluator.py \
  tests/potentials/test_trainable.py -k "not instruction_set" "$@"
