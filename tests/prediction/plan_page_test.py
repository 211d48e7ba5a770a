"""The page of `stowage plan --html` in a browser: it shows what --json says, and loads nothing."""

import json
import os
import pathlib
import sys
import unittest
import unittest.mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "launch"))
import browser  # noqa: E402
import runs  # noqa: E402


class NoBrowserTest(unittest.TestCase):
    def test_where_there_is_none_it_is_said_how_to_get_it(self):
        with unittest.mock.patch.dict(os.environ, PATH="/nowhere"):
            with self.assertRaisesRegex(AssertionError, "chromium-headless-shell.*tools/setup --tests"):
                browser.Browser("/nowhere")


class PlanPageTest(runs.RunTest):
    def setUp(self):
        super().setUp()
        self.page = self.path("plan.html")
        # Wide enough for a bound to lie in the drawing's range: above what is held, and not 2.5 times as high.
        line = [runs.BINARY, "plan", self.config, "--set", "memory.host=320MiB", "--json", "--html", self.page]
        done = self.run_command(line)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.plan = json.loads(done.stdout)
        self.browser = browser.Browser(self.path("profile"))
        self.addCleanup(self.browser.close)
        self.url = pathlib.Path(self.page).as_uri()

    def of(self, phase):
        return [i for i in self.plan["instructions"] if i["phase"] == phase]

    def at(self, phase, selector, then):
        """JavaScript on the first element of a phase's section."""
        return self.browser.evaluate(f"document.querySelector('section[data-phase=\"{phase}\"] {selector}'){then}")

    def read_out(self, phase):
        return self.at(phase, ".read-out", ".textContent")

    def assert_reads(self, phase, number):
        played = self.of(phase)
        start = f"{number} of {len(played)}: {played[number - 1]['label']}"
        if played[number - 1]["micro_batch"] >= 0:
            start += f", micro-batch {played[number - 1]['micro_batch']}"
        self.assertEqual(self.read_out(phase).splitlines()[0], start)

    def assert_quiet(self):
        self.assertEqual(self.browser.complaints(), [])
        for url in self.browser.requested():
            self.assertTrue(url.split("#")[0] == self.url or url.startswith("data:"), url)

    def test_tables_and_drawings_show_what_the_plan_says(self):
        self.browser.load(self.url)
        self.assertIn(self.plan["model"], self.browser.evaluate("document.title"))
        phases = self.browser.evaluate("Array.from(document.querySelectorAll('section'), s => s.dataset.phase)")
        self.assertEqual(sorted(phases), sorted({i["phase"] for i in self.plan["instructions"]}))
        self.assertEqual(phases[0], "step")
        for phase in phases:
            rows = self.browser.evaluate(
                f"Array.from(document.querySelectorAll('section[data-phase=\"{phase}\"] tbody tr'), "
                "r => [r.cells[1].textContent, Number(r.dataset.peak)])")
            self.assertEqual(rows, [[i["label"], i["total_peak_bytes"]] for i in self.of(phase)])
            self.assertGreater(self.at(phase, "svg.md", ".getBoundingClientRect().width"), 600)
            self.assertGreater(self.at(phase, "svg.md .md-area", ".getBoundingClientRect().height"), 50)
        text = self.browser.evaluate("document.body.innerText")
        for part in ("memory.host: 320MiB: fits", "predicted peak resident", "Schedules proved sound"):
            self.assertIn(part, text)
        self.assert_quiet()

    def test_the_budget_is_a_line_over_all_that_is_held(self):
        self.browser.load(self.url)
        box = {name: float(self.at("step", "svg.md", f".getAttribute('data-{name}')"))
               for name in ("left", "right", "top", "bottom")}
        line = {name: float(self.at("step", "svg.md .md-budget", f".getAttribute('{name}')"))
                for name in ("x1", "x2", "y1", "y2")}
        self.assertEqual((line["x1"], line["x2"]), (box["left"], box["right"]))
        self.assertEqual(line["y1"], line["y2"])
        self.assertGreater(line["y1"], box["top"])
        peak = float(self.at("step", "svg.md .md-peak", ".getAttribute('cy')"))
        self.assertLess(line["y1"], peak)
        # To scale: bytes above the axis at the bottom.
        held = self.plan["rss_peak_bytes"] - self.plan["tensors_peak_bytes"] + max(
            i["total_peak_bytes"] for i in self.of("step"))
        scale = (box["bottom"] - line["y1"]) / (box["bottom"] - peak)
        self.assertAlmostEqual(scale, 320 * 2**20 / held, delta=0.01)
        self.assertIn("memory.host: 320 MiB", self.at("step", "svg.md .md-budget-text", ".textContent"))
        self.assert_quiet()

    def test_an_instruction_is_read_out_by_address_pointer_and_arrow_key(self):
        self.browser.load(self.url + "#at=5")
        self.assert_reads("step", 5)
        # Another fragment of the same page.
        self.browser.evaluate("new Promise(done => { addEventListener('hashchange', () => setTimeout(done)); "
                              "location.hash = '#at=eval:2'; })")
        self.assert_reads("eval", 2)
        self.assert_reads("step", 5)
        for fragment in ("#at=0", "#at=99999", "#at=%E0%A4%A", "#at=no such phase:1"):
            self.browser.evaluate("new Promise(done => { addEventListener('hashchange', () => setTimeout(done)); "
                                  f"location.hash = '{fragment}'; }})")
            self.assert_reads("step", 5)
        # The pointer on the seventh of them.
        self.at("step", "svg.md", ".scrollIntoView()")
        box = self.at("step", "svg.md", ".getBoundingClientRect().toJSON()")
        left, right = (float(self.at("step", "svg.md", f".getAttribute('data-{side}')")) for side in ("left", "right"))
        across = (left + (right - left) * 6.5 / len(self.of("step"))) / 1200
        self.browser.point(box["left"] + box["width"] * across, box["top"] + box["height"] / 2)
        self.assert_reads("step", 7)
        x = float(self.at("step", "svg.md .cursor", ".getAttribute('x1')"))
        self.assertAlmostEqual(x, across * 1200, delta=1)
        self.at("step", "svg.md", ".focus()")
        self.browser.press("ArrowRight")
        self.assert_reads("step", 8)
        self.browser.press("ArrowLeft")
        self.browser.press("ArrowLeft")
        self.assert_reads("step", 6)
        self.assert_quiet()

    def test_tables_sort_by_peak_and_back(self):
        self.browser.load(self.url)
        self.at("step", "details", ".open = true")
        order = ("Array.from(document.querySelectorAll('section[data-phase=step] tbody tr'), "
                 "r => Number(r.dataset.order))")
        before = self.browser.evaluate(order)
        self.assertEqual(before, list(range(1, len(before) + 1)))
        self.at("step", "button[data-sort=peak]", ".click()")
        peaks = [self.of("step")[n - 1]["total_peak_bytes"] for n in self.browser.evaluate(order)]
        self.assertEqual(peaks, sorted(peaks, reverse=True))
        self.at("step", "button[data-sort=order]", ".click()")
        self.assertEqual(self.browser.evaluate(order), before)
        self.assert_quiet()

    def test_dark_and_without_scripts_it_still_shows_all(self):
        self.browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
        self.browser.load(self.url)
        background = "getComputedStyle(document.body).backgroundColor"
        self.assertEqual(self.browser.evaluate(background), "rgb(22, 24, 28)")
        self.browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
        self.assertEqual(self.browser.evaluate(background), "rgb(255, 255, 255)")
        self.browser.call("Emulation.setScriptExecutionDisabled", value=True)
        self.browser.load(self.url)
        self.assertEqual(self.browser.evaluate("document.querySelectorAll('section[data-phase=step] tbody tr').length"),
                         len(self.of("step")))
        self.assertEqual(self.browser.evaluate("getComputedStyle(document.querySelector('.read-out')).display"), "none")
        self.assert_quiet()


if __name__ == "__main__":
    unittest.main()
