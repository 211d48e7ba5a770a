#!/usr/bin/env bash
# Runs pytest on the given files (the targets of tests/python_test.bzl), with one JUnit case per test function.
set -euo pipefail

python=${STOWAGE_PYTHON:-${XDG_CACHE_HOME:-$HOME/.cache}/stowage/python-2.11.0/bin/python}
if ! [[ -x $python ]]; then
  echo "No Python environment at $python: run ./tools/setup --tests" >&2
  exit 1
fi
[[ ! -e tools/stowage/stowage ]] || export STOWAGE_BINARY=$PWD/tools/stowage/stowage
export PYTHONDONTWRITEBYTECODE=1
exec "$python" -m pytest -q -ra -p no:cacheprovider --rootdir="$PWD" --basetemp="${TEST_TMPDIR:?}/pytest" \
  --junitxml="${XML_OUTPUT_FILE:?}" "$@"
