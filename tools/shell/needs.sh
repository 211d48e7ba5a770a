# shellcheck shell=bash disable=SC2034 # used by those who source this
# What Stowage needs of a machine, and whether it is there. Sourced by tools/setup.
#
# Needs are told by what is used (a command, a header), not by package names: so the same table serves Debian, other
# distributions and sites with folders of their own. Looking costs a few milliseconds; no record is kept that could lie.

# kind | what is looked for | Debian 12 package | what it is for
program_needs='
command|bazel|bazel-bootstrap|Bazel 4.2, which builds Stowage (brings a JDK)
file|usr/share/bazel/rules/java/WORKSPACE|bazel-rules-java|rules that Bazel itself asks for
file|usr/share/bazel/rules/proto/WORKSPACE|bazel-rules-proto|rules that Bazel itself asks for
file|usr/share/bazel/tools/platforms/WORKSPACE|bazel-platforms|rules that Bazel itself asks for
command|g++|g++|C++17 compiler
header|absl/status/status.h|libabsl-dev|abseil 20220623
header|yaml-cpp/yaml.h|libyaml-cpp-dev|yaml-cpp 0.7, reads configs
header|CLI/CLI.hpp|libcli11-dev|CLI11 2.1, the command line
header|hwy/highway.h|libhwy-dev|Highway 1.0, vector instructions
header|nlohmann/json.hpp|nlohmann-json3-dev|JSON 3.11
header|isa-l.h|libisal-dev|ISA-L 2.30, checksums
header|dnnl.h|libdnnl-dev|oneDNN 2.6, matrix products
header|zlib.h|zlib1g-dev|zlib 1.2, reads compressed data files
header|sentencepiece_processor.h|libsentencepiece-dev|SentencePiece 0.1.97, subword tokenizers
command|bible|bible-kjv|the text that the quickstart learns from
file|usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz|dataset-fashion-mnist|the images that examples learn from
'
mpi_needs='
file|usr/lib/x86_64-linux-gnu/openmpi/include/mpi.h|libopenmpi-dev|Open MPI 4.1
command|mpirun|openmpi-bin|Open MPI 4.1, starts several ranks
'
download_needs='
command|python3|python3|runs pip
pip|pip|python3-pip|downloads LibTorch
file|etc/ssl/certs/ca-certificates.crt|ca-certificates|certificates, to download LibTorch
command|unzip|unzip|unpacks LibTorch
'
test_needs='
header|gtest/gtest.h|libgtest-dev|GoogleTest 1.12
header|gmock/gmock.h|libgmock-dev|GoogleMock 1.12
header|benchmark/benchmark.h|libbenchmark-dev|Google Benchmark 1.7
command|python3|python3|sums up test results
command|cmake|cmake|CMake 3.25, builds the project that uses the installed library
command|chromium-headless-shell|chromium-headless-shell|a browser of 98 MB, opens the page of stowage plan --html
file|usr/lib/x86_64-linux-gnu/libjemalloc.so.2|libjemalloc2|jemalloc 5.3, for tools/bench allocations
file|usr/lib/x86_64-linux-gnu/libtcmalloc_minimal.so.4|libtcmalloc-minimal4|tcmalloc 2.10, for tools/bench allocations
file|usr/lib/x86_64-linux-gnu/libmimalloc.so.2|libmimalloc2.0|mimalloc 2.0, for tools/bench allocations
'
python_needs='
command|python3.11|python3|Python 3.11, of which the torch wheel is
venv|ensurepip|python3-venv|makes the tests'"'"' Python environment
'

# The tests' way to look at another system: a folder in place of /. Commands are looked up in PATH all the same.
system_root=${STOWAGE_SETUP_ROOT:-}

# Debian's own python3 first: one set up by hand (pyenv, conda) may come without pip or be another version.
system_python() {  # NAME (python3, python3.11): the command to call
  if [[ -x /usr/bin/$1 ]]; then echo "/usr/bin/$1"; else command -v "$1"; fi
}

has_header() {
  local dir
  local -a extra
  IFS=: read -r -a extra <<<"${CPATH:-}:${CPLUS_INCLUDE_PATH:-}"
  for dir in "$system_root"/usr/{include,local/include,include/x86_64-linux-gnu} "${extra[@]}"; do
    [[ -n $dir && -e $dir/$1 ]] && return 0
  done
  return 1
}

has() {
  local kind=$1 what=$2
  case $kind in
    command) command -v "$what" >/dev/null 2>&1 ;;
    file) [[ -e $system_root/$what ]] ;;
    header) has_header "$what" ;;
    pip) compgen -G "$system_root/usr/lib/python3*/dist-packages/pip" >/dev/null ||
      { [[ -z $system_root ]] && python3 -c 'import pip' >/dev/null 2>&1; } ;;
    venv) compgen -G "$system_root/usr/lib/python3.11/ensurepip" >/dev/null ||
      { [[ -z $system_root ]] && python3.11 -c 'import ensurepip' >/dev/null 2>&1; } ;;
    *) die 1 "tools/shell/needs.sh: unknown kind of need: $kind" ;;
  esac
}
