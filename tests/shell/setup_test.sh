#!/usr/bin/env bash
# tools/setup on systems that lack things: it names them, and installs nothing where it may not.
#
# The systems are folders (STOWAGE_SETUP_ROOT); PATH holds a few commands of this machine, and an apt-get, sudo and pip
# that only leave a mark.
set -euo pipefail
# shellcheck source=tests/shell/expect.sh
source tests/shell/expect.sh

repository=$TEST_TMPDIR/repository
copy_repository "$repository"
root=$TEST_TMPDIR/system
bin=$TEST_TMPDIR/bin
mkdir -p "$root/etc" "$bin" "$TEST_TMPDIR/cache"
for command in bash dirname pwd realpath printf mkdir cat grep id getent df awk fold sed tail sleep rm env flock date; do
  ln -sf "$(command -v "$command")" "$bin/$command"
done
for command in apt-get sudo; do
  printf '#!/bin/bash\necho "%s $*" >>"%s/called"\nexit 1\n' "$command" "$TEST_TMPDIR" >"$bin/$command"
  chmod +x "$bin/$command"
done

setup() { # VARIABLE=VALUE... -- OPTIONS...: output in $output, exit status in $status
  local -a settings=()
  while [[ $1 != -- ]]; do settings+=("$1") && shift; done
  shift
  rm -f "$TEST_TMPDIR/called"
  status=0
  output=$(env -i PATH="$bin" HOME="$TEST_TMPDIR" XDG_CACHE_HOME="$TEST_TMPDIR/cache" STOWAGE_SETUP_ROOT="$root" \
    "${settings[@]}" bash "$repository/tools/setup" "$@" 2>&1 </dev/null) || status=$?
}
expect_nothing_called() { [[ ! -e $TEST_TMPDIR/called ]] || fail "called: $(<"$TEST_TMPDIR/called")"; }

debian_12=$'ID=debian\nVERSION_ID="12"'

start "NO_INSTALL names every missing package and how to get it"
echo "$debian_12" >"$root/etc/os-release"
setup STOWAGE_NO_INSTALL=1 -- --tests
expect_status 1
for package in bazel-bootstrap g++ unzip libopenmpi-dev openmpi-bin libabsl-dev libyaml-cpp-dev libcli11-dev libhwy-dev \
  nlohmann-json3-dev libisal-dev libdnnl-dev zlib1g-dev libsentencepiece-dev bible-kjv dataset-fashion-mnist \
  python3-venv libgtest-dev libgmock-dev libbenchmark-dev cmake chromium-headless-shell libjemalloc2 ca-certificates; do
  expect_output "$package"
done
expect_output "apt-get install --no-install-recommends"
expect_output "STOWAGE_LIBTORCH=FOLDER"
expect_output "MPI_HOME=FOLDER"
expect_output "STOWAGE_PYTHON=PYTHON"
expect_nothing_called

start "without --tests, what only tests need is not asked for"
setup STOWAGE_NO_INSTALL=1 --
expect_no_output "libgtest-dev"
expect_no_output "chromium"
expect_no_output "STOWAGE_PYTHON"

start "another distribution gets the same list and no apt call"
for release in 'ID=fedora' $'ID=ubuntu\nVERSION_ID="12"' $'ID=debian\nVERSION_ID="13"' $'ID=debian'; do
  echo "$release" >"$root/etc/os-release"
  setup --
  expect_status 1
  expect_output "not Debian 12"
  expect_output "libyaml-cpp-dev"
  expect_nothing_called
done
rm "$root/etc/os-release"
setup --
expect_status 1
expect_output "not Debian 12"
expect_nothing_called

start "on Debian 12 apt is called, after saying what is installed, and its failure is said"
echo "$debian_12" >"$root/etc/os-release"
setup --
if ((EUID == 0)); then
  expect_status 1
  expect_output "About to install"
  expect_output "apt-get update failed"
  grep -q '^apt-get .*update' "$TEST_TMPDIR/called" || fail "apt-get was not called"
else
  # The sudo of this test refuses, and nobody can type a password.
  expect_output "neither root nor can it become so"
fi

start "folders of a site take the place of packages"
site=$TEST_TMPDIR/site
mkdir -p "$site"/mpi/{include,lib} "$site"/torch/{include/ATen,lib}
touch "$site/mpi/include/mpi.h" "$site/mpi/lib/libmpi.so" "$site/torch/include/ATen/ATen.h" \
  "$site/torch/lib/libtorch_cpu.so" "$site/torch/lib/libc10.so"
setup STOWAGE_NO_INSTALL=1 MPI_HOME="$site/mpi" STOWAGE_LIBTORCH="$site/torch" --
expect_status 1
expect_no_output "openmpi"
expect_no_output "LibTorch"

start "a folder that does not hold what it should is named with what lacks"
setup STOWAGE_NO_INSTALL=1 STOWAGE_LIBTORCH="$site/mpi" --
expect_status 1
expect_output "STOWAGE_LIBTORCH=$site/mpi: no include/ATen/ATen.h there"

start "with everything there, Bazel is told where, and nothing is said with --quiet"
for command in bazel g++ unzip bible mpirun python3 cmake; do printf '#!/bin/bash\n' >"$bin/$command" && chmod +x "$bin/$command"; done
while IFS='|' read -r kind what _; do
  case $kind in
    header) mkdir -p "$(dirname "$root/usr/include/$what")" && touch "$root/usr/include/$what" ;;
    file) mkdir -p "$(dirname "$root/$what")" && touch "$root/$what" ;;
  esac
done <"$repository/tools/shell/needs.sh"
setup STOWAGE_NO_INSTALL=1 MPI_HOME="$site/mpi" STOWAGE_LIBTORCH="$site/torch" CUDA_HOME=/opt/cuda -- --quiet
expect_status 0
[[ -z $output ]] || fail "said: $output"
expect_file_line "$repository/.bazelrc.local" "common --repo_env=STOWAGE_LIBTORCH=$site/torch"
expect_file_line "$repository/.bazelrc.local" "common --repo_env=MPI_HOME=$site/mpi"
expect_file_line "$repository/.bazelrc.local" "common --repo_env=CUDA_HOME=/opt/cuda"

start "a LibTorch folder without its stamp (an interrupted set-up) is not taken for done"
mkdir -p "$TEST_TMPDIR/cache/stowage/libtorch-2.11.0/torch"
setup STOWAGE_NO_INSTALL=1 MPI_HOME="$site/mpi" --
expect_status 1
expect_output "LibTorch 2.11.0"
grep -hv '^#' "$repository/third_party/libtorch/wheels.txt" >"$TEST_TMPDIR/cache/stowage/libtorch-2.11.0/stowage-wheels.txt"
setup STOWAGE_NO_INSTALL=1 MPI_HOME="$site/mpi" --
expect_status 0

start "a rank of a job installs nothing"
setup OMPI_COMM_WORLD_SIZE=2 --
expect_status 2
expect_nothing_called

finish
