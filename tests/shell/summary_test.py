"""tools/test counts every case, names failures and reasons of skips, and is never green without cause."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.getcwd(), "tools", "shell"))
import test_summary as summary  # noqa: E402

GOOGLETEST = """<testsuites tests="4"><testsuite name="Budget">
<testcase name="Fits" status="run" result="completed" classname="Budget"/>
<testcase name="Fails" status="run" result="completed" classname="Budget">
  <failure message="a.cc:3&#x0A;Expected: 1" type=""></failure></testcase>
<testcase name="Skips" status="run" result="skipped" classname="Budget">
  <skipped message="memory/budget_test.cc:12&#x0A;no cgroup here&#x0A;"/></testcase>
<testcase name="DISABLED_Off" status="notrun" result="suppressed" classname="Budget"/>
</testsuite></testsuites>"""

PYTEST = """<testsuites><testsuite name="pytest">
<testcase classname="ranks_test.RanksTest" name="test_two"/>
<testcase classname="ranks_test" name="test_gpu"><skipped type="pytest.skip" message="no GPU">x</skipped></testcase>
</testsuite></testsuites>"""

SHELL = """<testsuites><testsuite name="tests/a_test"><testcase name="tests/a_test" status="run"></testcase>
<system-out>hello
%s</system-out></testsuite></testsuites>"""


def cases(tmp_path, xml, status="PASSED"):
    path = tmp_path / "test.xml"
    path.write_text(xml)
    return summary.read_xml("//a:b", str(path), status)


def outcomes(found):
    return [case.outcome for case in found]


def test_googletest_cases_are_counted_one_by_one(tmp_path):
    found = cases(tmp_path, GOOGLETEST, "FAILED")
    assert outcomes(found) == ["passed", "failed", "skipped", "skipped"]
    assert found[1].name == "//a:b Budget.Fails" and found[1].reason == "a.cc:3"
    assert found[2].reason == "no cgroup here"
    assert found[3].reason == "disabled in its source"


def test_pytest_skips_keep_their_reason(tmp_path):
    found = cases(tmp_path, PYTEST)
    assert outcomes(found) == ["passed", "skipped"]
    assert found[1].reason == "no GPU"


def test_a_shell_test_is_one_case_and_may_skip(tmp_path):
    assert outcomes(cases(tmp_path, SHELL % "all well")) == ["passed"]
    found = cases(tmp_path, SHELL % "SKIPPED: no srun here")
    assert outcomes(found) == ["skipped"] and found[0].reason == "no srun here"


def test_a_target_that_failed_counts_as_failed_whatever_its_cases_say(tmp_path):
    assert outcomes(cases(tmp_path, PYTEST, "TIMEOUT"))[-1] == "failed"


def test_a_result_file_that_is_cut_short_or_empty_is_a_failure(tmp_path):
    assert outcomes(cases(tmp_path, GOOGLETEST[:200])) == ["failed"]
    assert outcomes(cases(tmp_path, "<testsuites></testsuites>")) == ["failed"]


def test_a_target_without_a_result_is_a_failure():
    found = summary.collect(["//a:b"], {})
    assert outcomes(found) == ["failed"] and "not built" in found[0].reason


def test_only_results_of_this_run_are_read_and_the_last_attempt_counts(tmp_path):
    events = tmp_path / "events.json"
    lines = [{"id": {"progress": {}}, "progress": {}}]
    for status in ("FAILED", "PASSED"):
        lines.append({"id": {"testResult": {"label": "//a:b", "attempt": 1}},
                      "testResult": {"status": status,
                                     "testActionOutput": [{"name": "test.xml", "uri": "file:///tmp/a%20b/test.xml"}]}})
    events.write_text("\n".join(map(json.dumps, lines)))
    assert summary.read_events(str(events)) == {"//a:b": ("PASSED", "/tmp/a b/test.xml")}
    assert summary.read_events(str(tmp_path / "none")) == {}


def test_the_closing_line_stands_last_and_alone():
    case = summary.Case
    text, status = summary.summary([case("a", "passed"), case("b", "skipped", "no GPU"), case("c", "failed", "1 != 2")], 3)
    assert text.splitlines() == ["SKIPPED b: no GPU", "FAILED  c: 1 != 2", "1 passed, 1 failed, 1 skipped"]
    assert status == 1


def test_it_is_green_only_if_something_ran_and_bazel_agrees():
    passed = [summary.Case("a", "passed")]
    assert summary.summary(passed, 0) == ("1 passed, 0 failed, 0 skipped", 0)
    assert summary.summary([], 0)[1] == 1
    text, status = summary.summary(passed, 8)
    assert status == 1 and text.endswith("1 passed, 1 failed, 0 skipped")
