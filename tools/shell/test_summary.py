"""Counts test cases of one `bazel test` run and prints failures, reasons of skips and the closing line.

Reads Bazel's build events (one JSON object a line) for which targets ran, and each target's test.xml (JUnit, as
GoogleTest, pytest and Bazel write it) for its cases. A target that was not built, timed out or crashed before it wrote
its cases counts as one failure: nothing asked for may go uncounted.

A shell test skips by printing "SKIPPED: reason" on a line and ending with status 0.
"""

import argparse
import json
import re
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree
from typing import NamedTuple

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


class Case(NamedTuple):
    name: str
    outcome: str
    reason: str = ""


def first_line(text):
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    return lines[0] if lines else ""


def skip_reason(text):
    """GoogleTest writes "file:line", then what GTEST_SKIP() was given; pytest and shells write the reason alone."""
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    if lines and re.match(r".*(\.cc|\.h):\d+$", lines[0]):
        lines = lines[1:]
    return " ".join(lines) or "no reason given"


def read_case(label, element):
    name = ".".join(part for part in (element.get("classname"), element.get("name")) if part)
    name = label if name in (label, label.lstrip("/"), "") else f"{label} {name}"
    for child in element:
        if child.tag in ("failure", "error"):
            return Case(name, FAILED, first_line(child.get("message") or child.text))
    skipped = element.find("skipped")
    if skipped is not None:
        return Case(name, SKIPPED, skip_reason(skipped.get("message") or skipped.text))
    if element.get("status") == "notrun":
        return Case(name, SKIPPED, "disabled in its source")
    output = (element.findtext("system-out") or "") + "\n"
    shell_skip = re.search(r"^SKIPPED: *(.*)$", output, re.MULTILINE)
    if shell_skip:
        return Case(name, SKIPPED, shell_skip.group(1) or "no reason given")
    return Case(name, PASSED)


def read_xml(label, path, status):
    """The cases of one target; at least one, and at least one failed if Bazel says that the target failed."""
    cases = []
    try:
        root = ElementTree.parse(path).getroot()
        for suite in root.iter("testsuite"):
            # Bazel puts the log beside the case and not into it.
            log = suite.findtext("system-out")
            for element in suite.findall("testcase"):
                if log and element.find("system-out") is None:
                    ElementTree.SubElement(element, "system-out").text = log
                cases.append(read_case(label, element))
    except (OSError, ElementTree.ParseError) as error:
        if status == "PASSED":
            return [Case(label, FAILED, f"its result file cannot be read: {error}")]
    if status != "PASSED" and not any(case.outcome == FAILED for case in cases):
        cases.append(Case(label, FAILED, f"ended as {status}"))
    if not cases:
        cases.append(Case(label, FAILED, "ran no test case"))
    return cases


def read_events(path):
    """label -> (status, path of test.xml or None) for each target with a result; the last attempt counts."""
    results = {}
    try:
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                event = json.loads(line)
                key = event.get("id", {}).get("testResult")
                if not key or "testResult" not in event:
                    continue
                result = event["testResult"]
                files = {f.get("name"): f.get("uri", "") for f in result.get("testActionOutput", [])}
                xml = files.get("test.xml")
                results[key["label"]] = (
                    result.get("status", "NO_STATUS"),
                    urllib.parse.unquote(urllib.parse.urlparse(xml).path) if xml else None,
                )
    except OSError:
        pass  # Bazel ended before it wrote any: every target is then reported as without a result
    return results


def collect(targets, results):
    cases = []
    for label in targets:
        if label not in results:
            cases.append(Case(label, FAILED, "was not built or not run"))
            continue
        status, xml = results[label]
        cases += read_xml(label, xml, status) if xml else [Case(label, FAILED, f"ended as {status}")]
    return cases


def summary(cases, bazel_status):
    """The text to print and the exit status."""
    count = {outcome: sum(case.outcome == outcome for case in cases) for outcome in (PASSED, FAILED, SKIPPED)}
    lines = []
    # Bazel's own trouble (a crash, an interrupt) without a failed test: never green.
    if bazel_status != 0 and count[FAILED] == 0:
        count[FAILED] += 1
        lines.append(f"FAILED  bazel test ended with status {bazel_status}")
    if not cases:
        count[FAILED] += 1
        lines.append("FAILED  no test ran")
    for outcome in (SKIPPED, FAILED):
        for case in cases:
            if case.outcome == outcome:
                lines.append(f"{outcome.upper():7} {case.name}" + (f": {case.reason}" if case.reason else ""))
    lines.append(f"{count[PASSED]} passed, {count[FAILED]} failed, {count[SKIPPED]} skipped")
    return "\n".join(lines), 1 if count[FAILED] else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", required=True)
    parser.add_argument("--bazel-status", type=int, required=True)
    parser.add_argument("targets", nargs="+")
    arguments = parser.parse_args()
    text, status = summary(collect(arguments.targets, read_events(arguments.events)), arguments.bazel_status)
    print(text, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
