# shellcheck shell=bash disable=SC2154 # output and status are set by the test
# Expectations of the shell tests, and their results as JUnit cases for tools/test. Sourced.
#
# A test sets $output and $status, then states what it expects of them; `start` begins a case, `finish` ends the file.

case_names=() case_failures=()

start() { case_names+=("$1") && case_failures+=('') && echo "== $1"; }
fail() {
  echo "FAILED: $*"
  case_failures[-1]+="$* "
}
expect_status() { [[ $status == "$1" ]] || fail "exit status $status, expected $1; output: $output"; }
expect_output() { [[ $output == *"$1"* ]] || fail "output lacks '$1': $output"; }
expect_no_output() { [[ $output != *"$1"* ]] || fail "output has '$1': $output"; }
expect_file_line() { grep -qxF -e "$2" "$1" || fail "$1 lacks the line '$2': $(cat "$1")"; }

# The shell side of the repository, as files of its own: the runfiles are links into the real one.
copy_repository() {
  mkdir -p "$1"
  cp -rL stowage tools third_party "$1/"
}

xml() { sed 's/&/\&amp;/g; s/</\&lt;/g; s/>/\&gt;/g; s/"/\&quot;/g' <<<"$1" | tr -d '\000-\010\013\014\016-\037'; }

finish() {
  local i failed=0
  {
    echo '<testsuites><testsuite name="shell">'
    for i in "${!case_names[@]}"; do
      printf '<testcase name="%s">' "$(xml "${case_names[i]}")"
      [[ -z ${case_failures[i]} ]] || printf '<failure message="%s"/>' "$(xml "${case_failures[i]}")"
      echo '</testcase>'
    done
    echo '</testsuite></testsuites>'
  } >"${XML_OUTPUT_FILE:-/dev/null}"
  for i in "${!case_names[@]}"; do [[ -z ${case_failures[i]} ]] || failed=1; done
  exit "$failed"
}
