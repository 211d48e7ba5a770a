# shellcheck shell=bash disable=SC2154 # stowage_root and stowage_local come from common.sh
# Builds the program if its sources changed, and keeps it where other builds do not touch it. Sourced after common.sh.
#
# The built program is copied to .cache/bin: bazel-bin moves with every build of another configuration (sanitizers),
# and asking Bazel whether anything changed costs seconds where its server is not running. So we ask ourselves: names,
# sizes and times of the sources, as they were before the build, lie beside the program.

program=$stowage_local/bin/stowage
program_sources=$stowage_local/bin/stowage.sources

# One line that differs whenever a source of the program does.
source_state() {
  (
    cd "$stowage_root" || exit
    {
      find base kernels memory sharding trainer tools third_party \
        \( -name '*.cc' -o -name '*.h' -o -name '*.cu' -o -name '*.cuh' -o -name 'BUILD.bazel' -o -name '*.bzl' \) \
        ! -name '*_test.cc' ! -name '*_benchmark.cc' -type f -printf '%p %s %T@\n'
      find WORKSPACE BUILD.bazel .bazelrc -printf '%p %s %T@\n'
      cat .bazelrc.local # its content: tools/setup may write the same again
    } 2>/dev/null | LC_ALL=C sort | sha256sum
  )
}

program_is_current() { [[ -x $program && -f $program_sources && $(<"$program_sources") == "$(source_state)" ]]; }

# Bazel's server takes hundreds of MB, which belong to training. It is stopped after our builds unless it was there
# before: then somebody works with Bazel here, and it is theirs (it leaves by itself after three idle hours).
bazel_server_runs() {
  local output_base pid
  output_base=$(readlink "$stowage_root/bazel-out" 2>/dev/null) || return 1
  output_base=${output_base%/execroot/*}
  pid=$(cat "$output_base/server/server.pid.txt" 2>/dev/null) && kill -0 "$pid" 2>/dev/null
}

# Runs Bazel in the root, and stops its server afterwards if this call was what started it. The server must not
# inherit our locks (8, 9): it would hold them for as long as it lives.
bazel_once() {
  local status=0 ours=1
  ! bazel_server_runs || ours=0
  (cd "$stowage_root" && exec bazel "$@" 8>&- 9>&-) || status=$?
  ((ours == 0)) || (cd "$stowage_root" && bazel shutdown >/dev/null 2>&1 8>&- 9>&-) || true
  return "$status"
}

build_program() {
  local state
  local -a progress=()
  # A terminal shows Bazel's own line ("[41 / 97] Compiling ..."); a pipe gets one of them every 20 s.
  [[ -t 2 ]] || progress=(--curses=no --color=no --show_progress_rate_limit=20)
  state=$(source_state)
  say "Building Stowage ($([[ -e $program ]] && echo 'sources changed' || echo 'the first time takes some minutes on 2 cores')) ..."
  bazel_once build "${progress[@]}" //tools/stowage:stowage >&2 || return
  mkdir -p "${program%/*}"
  # Renamed into place, so that a run that goes on with the old program is not disturbed.
  cp -f "$stowage_root/bazel-bin/tools/stowage/stowage" "$program.new.$$" && chmod u+w "$program.new.$$" &&
    mv -f "$program.new.$$" "$program" && printf '%s\n' "$state" >"$program_sources"
}
