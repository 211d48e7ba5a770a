# shellcheck shell=bash disable=SC2034 # used by those who source this
# What the project's shell commands share: where things lie, how they speak. Sourced, never run.
# Messages go to stderr, so that what the program prints on stdout can be piped.

stowage_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)

# What several clones share (LibTorch, the tests' Python) lies in the user's cache; what belongs to this clone (the
# built program, logs) lies in .cache/ of the clone.
stowage_home=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
stowage_cache=${XDG_CACHE_HOME:-$stowage_home/.cache}/stowage
stowage_local=$stowage_root/.cache

libtorch_version=2.11.0
libtorch_cache=$stowage_cache/libtorch-$libtorch_version
python_cache=$stowage_cache/python-$libtorch_version

say() { printf '%s\n' "$*" >&2; }
die() {
  local status=$1
  shift
  say "stowage: $*"
  exit "$status"
}

# True where this process is one rank of a job. Not true in a job script or an interactive allocation, which Slurm
# runs as steps of their own (the two highest numbers): there a person may well install and build.
under_launcher() {
  [[ -n ${OMPI_COMM_WORLD_SIZE:-}${PMIX_RANK:-}${PMI_RANK:-} ]] && return 0
  [[ -n ${SLURM_PROCID:-} && -n ${SLURM_STEP_ID:-} ]] || return 1
  [[ $SLURM_STEP_ID != 4294967290 && $SLURM_STEP_ID != 4294967291 ]]
}

# run_step LABEL LOG COMMAND...: runs COMMAND with its output in LOG. A terminal sees the seconds pass; a pipe gets
# one line at the start and one at the end. If it fails, the end of LOG is shown, and its status returned.
run_step() {
  local label=$1 log=$2 start=$SECONDS status=0 ticker=
  shift 2
  mkdir -p "$(dirname "$log")"
  say_step "$label ..."
  if [[ -t 2 ]]; then
    # Ends by itself should this shell be killed.
    (while sleep 1 && kill -0 $$ 2>/dev/null; do printf '\r  %s ... %d s ' "$label" $((SECONDS - start)) >&2; done) &
    ticker=$!
  fi
  printf '\n$ %s\n' "$*" >>"$log"
  "$@" >>"$log" 2>&1 </dev/null || status=$?
  if [[ -n $ticker ]]; then
    kill "$ticker" 2>/dev/null || true
    wait "$ticker" 2>/dev/null || true
    printf '\r\033[K' >&2
  fi
  if ((status != 0)); then
    say "  $label: failed (exit $status). The end of $log:"
    tail -n 25 "$log" | sed 's/^/    /' >&2
    return "$status"
  fi
  say "  $label: $((SECONDS - start)) s"
}
say_step() { if [[ -t 2 ]]; then printf '  %s' "$*" >&2; else say "  $*"; fi; }
