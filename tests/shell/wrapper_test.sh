#!/usr/bin/env bash
# ./stowage: becomes the program; builds only when sources changed; under a launcher never sets up nor builds.
#
# bazel is a stand-in that leaves a mark and "builds" a script; tools/setup is one that only leaves a mark.
set -euo pipefail
# shellcheck source=tests/shell/expect.sh
source tests/shell/expect.sh

repository=$TEST_TMPDIR/repository
copy_repository "$repository"
cd "$repository"
mkdir -p bin base bazel-bin/tools/stowage
touch WORKSPACE BUILD.bazel .bazelrc
echo 'int one;' >base/one.cc
printf '#!/bin/bash\necho setup >>"%s/called"\n' "$TEST_TMPDIR" >tools/setup
cat >bin/bazel <<END
#!/bin/bash
echo "bazel \$1" >>"$TEST_TMPDIR/called"
[[ \$1 != build || ! -e $TEST_TMPDIR/broken ]] || exit 1
rm -f bazel-bin/tools/stowage/stowage
printf '#!/bin/bash\necho "program \$\$ \$*"; exit 7\n' >bazel-bin/tools/stowage/stowage
chmod 555 bazel-bin/tools/stowage/stowage
END
chmod +x tools/setup bin/bazel
export PATH=$PWD/bin:$PATH
unset "${!OMPI_@}" "${!PMIX_@}" "${!PMI_@}" "${!SLURM_@}"

stowage() { # VARIABLE=VALUE... -- ARGUMENTS...
  local -a settings=()
  while [[ $1 != -- ]]; do settings+=("$1") && shift; done
  shift
  rm -f "$TEST_TMPDIR/called"
  status=0
  output=$(env "${settings[@]}" "$repository/stowage" "$@" 2>&1 </dev/null) || status=$?
  called=$(cat "$TEST_TMPDIR/called" 2>/dev/null || true)
}
expect_called() { [[ $called == "$1" ]] || fail "called '$called', expected '$1'"; }

start "under a launcher, a program that is not built is an error that says what to do"
for launcher in OMPI_COMM_WORLD_SIZE=2 PMIX_RANK=0 PMI_RANK=0 "SLURM_PROCID=0 SLURM_STEP_ID=0"; do
  # shellcheck disable=SC2086 # several settings
  stowage $launcher -- train x
  expect_status 2
  expect_output "$repository/stowage version"
  expect_called ""
done

start "the first call sets up, builds, and stops the Bazel server that it started"
stowage -- train a.yaml --set 'run.name=a b'
expect_status 7
expect_output "train a.yaml --set run.name=a b"
expect_called $'setup\nbazel build\nbazel shutdown'

start "a later call builds nothing"
stowage -- version
expect_status 7
expect_called "setup"

start "it works from any folder, and through a link"
ln -s "$repository/stowage" "$TEST_TMPDIR/link"
(cd / && "$TEST_TMPDIR/link" version >/dev/null) || [[ $? == 7 ]] || fail "not from another folder"

start "the program takes the wrapper's place: signals reach it"
"$repository/stowage" version >"$TEST_TMPDIR/out" &
wrapper=$!
wait "$wrapper" || true
[[ $(<"$TEST_TMPDIR/out") == "program $wrapper version" ]] || fail "not the same process: $wrapper, $(<"$TEST_TMPDIR/out")"

start "a changed, a new and a removed source file each lead to a build; a test file does not"
for change in "echo 'int two;' >>base/one.cc" "touch base/two.cc" "rm base/two.cc" "echo >>.bazelrc"; do
  eval "$change"
  stowage -- version
  expect_called $'setup\nbazel build\nbazel shutdown'
done
touch base/one_test.cc base/README.md
stowage -- version
expect_called "setup"

start "under a launcher the built program runs, and nothing else"
stowage OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=1 -- train x
expect_status 7
expect_called ""
stowage SLURM_PROCID=0 SLURM_STEP_ID=3 -- train x
expect_status 7
expect_called ""

start "under a launcher, rank 0 alone says that sources changed"
touch base/three.cc
stowage OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=0 -- train x
expect_output "sources changed"
expect_called ""
stowage OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK=1 -- train x
expect_no_output "sources changed"

start "a job script of Slurm, which is no rank of a job, builds"
stowage SLURM_PROCID=0 -- version
expect_called $'setup\nbazel build\nbazel shutdown'
touch base/four.cc
stowage SLURM_PROCID=0 SLURM_STEP_ID=4294967291 -- version
expect_called $'setup\nbazel build\nbazel shutdown'

start "a failed build starts nothing, leaves the old program, and is tried again"
touch base/five.cc "$TEST_TMPDIR/broken"
stowage -- version
expect_status 1
expect_output "the build failed"
rm "$TEST_TMPDIR/broken"
stowage -- version
expect_status 7
expect_called $'setup\nbazel build\nbazel shutdown'

start "a set-up that fails starts nothing"
printf '#!/bin/bash\nexit 1\n' >tools/setup
stowage -- version
expect_status 1
expect_no_output "program"

finish
