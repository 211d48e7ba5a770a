"""A program's own modules: what the rehearsal can play it predicts to the byte; what it cannot it names."""

import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "launch"))
import runs  # noqa: E402

ODD_MODULES = os.path.abspath("tests/prediction/odd_modules")
OWN_KIND = os.path.abspath("examples/own_kind")
OWN_YAML = os.path.abspath("examples/own_kind.yaml")

ODD = """
run: {name: odd, seed: 3, threads: 2}
model: {kind: odd}
data: {source: fashion-mnist}
train: {steps: 4, global_batch: 96, micro_batch: 32, eval_every: 2, eval_sequences: 96}
"""

# What a module does that cannot be rehearsed -> what has to be said of it: where, what with which inputs, what to do.
REFUSED = {
    "reads_value": ["forward odd: segment odd, given [32, 64] Float by segment stem",
                    "aten::_local_scalar_dense reads a value (self Float []", "at::where", "--no-plan"],
    "shape_of_values": ["forward odd: segment odd", "aten::masked_select (self Float [32, 64], mask Bool [32, 64])",
                        "depends on values", "at::where", "--no-plan"],
    "unknown_operator": ["forward odd: segment odd", "odd::mystery (x Float [32, 64]) is not known to the rehearsal",
                         "TORCH_LIBRARY_IMPL(..., Meta, m)", "--no-plan"],
    "keeps_more": ["forward odd: after a step 24 KiB more of its tensors are held", "a fixed number", "--no-plan"],
    "thread": ["forward odd:", "allocated by another thread", "the thread that calls forward", "--no-plan"],
}


def peaks(report, side):
    return {phase: {c: b for c, b in found.items() if b}
            for phase, found in report[side]["phase_peak_bytes"].items() if phase in ("init", "train", "eval", "save")}


class OddModulesTest(runs.RunTest):
    def setUp(self):
        super().setUp()
        self.odd = self.write("odd.yaml", ODD)

    def call(self, *words, program=ODD_MODULES, ranks=0, expect=runs.EXIT_OK):
        line = (runs.mpirun(ranks) if ranks else []) + [program, *words]
        done = self.run_command(line, cwd=self.dir)
        self.assertEqual(done.returncode, expect, f"{line}\n{done.stdout}\n{done.stderr}")
        return done

    def odd_run(self, does):
        done = self.call("train", self.odd, "--run-dir", self.path(does), "--set", f"model.options.does={does}")
        return done, self.report(does)

    def test_what_cannot_be_rehearsed_is_named_with_its_place_its_inputs_and_what_to_do(self):
        for does, parts in REFUSED.items():
            with self.subTest(does):
                done = self.call("plan", self.odd, "--set", f"model.options.does={does}", expect=runs.EXIT_FAILURE)
                self.assertEqual(done.stdout, "")
                self.assert_one_clear_line(done, *parts)

    def test_training_says_why_there_is_no_plan_and_goes_on(self):
        done, report = self.odd_run("reads_value")
        self.assert_one_clear_line(done, "no plan of this run, training goes on without",
                                   "forward odd: segment odd", "aten::_local_scalar_dense reads a value")
        self.assertTrue(report["finished"])
        self.assertNotIn("predicted", report)
        self.assertIsNone(report.get("first_difference"))

    def test_what_can_be_rehearsed_is_predicted_to_the_byte(self):
        # One tensor kept from step to step is no trouble: it is there in the rehearsal too.
        for does in ("nothing odd", "keeps_one"):
            with self.subTest(does):
                done, report = self.odd_run(does)
                self.assertEqual(done.stderr, "")
                self.assertEqual(peaks(report, "predicted"), peaks(report, "measured"))
                self.assertIsNone(report.get("first_difference"))

    def test_an_allocation_that_was_not_rehearsed_is_named_by_its_instruction(self):
        done, report = self.odd_run("takes_more")
        self.assertLess(report["predicted"]["phase_peak_bytes"]["train"]["total"],
                        report["measured"]["phase_peak_bytes"]["train"]["total"])
        first = report["first_difference"]
        self.assertEqual((first["phase"], first["instruction"], first["micro_batch"]), ("first step", "forward odd", 0))
        extra = 256 * 1024 * 4
        self.assertGreater(first["measured_bytes"], first["predicted_bytes"] + extra // 2)
        self.assertLessEqual(first["measured_bytes"], first["predicted_bytes"] + extra + 4096)
        line = [text for text in done.stdout.splitlines() if "parts from its prediction" in text]
        self.assertEqual(len(line), 1, done.stdout)
        for part in ("forward odd of micro-batch 0", "first step", str(first["predicted_bytes"]),
                     str(first["measured_bytes"])):
            self.assertIn(part, line[0])
        with open(self.path("takes_more/log/rank-0.txt")) as f:
            self.assertIn(line[0], f.read())

    def test_the_example_with_a_kind_of_its_own_plans_what_it_then_holds(self):
        sets = []
        for item in ("run.threads=1", "train.steps=6", "train.eval_every=3", "train.eval_sequences=64"):
            sets += ["--set", item]
        for ranks in (1, 2):
            with self.subTest(ranks):
                plan = json.loads(self.call("plan", OWN_YAML, "--json", "--ranks", str(ranks), *sets,
                                            program=OWN_KIND).stdout)
                self.assertIn("my_net", plan["model"])
                self.call("train", OWN_YAML, "--run-dir", self.path(f"on{ranks}"), *sets, program=OWN_KIND,
                          ranks=ranks if ranks > 1 else 0)
                report = self.report(f"on{ranks}")
                self.assertEqual(plan["tensors_peak_bytes"], report["measured"]["phase_peak_bytes"]["all"]["total"])
                self.assertEqual(peaks(report, "predicted"), peaks(report, "measured"))
                self.assertIsNone(report.get("first_difference"))

    def test_an_own_kind_that_does_not_fit_is_refused_in_the_same_words(self):
        done = self.call("plan", OWN_YAML, "--set", "memory.host=64MiB", program=OWN_KIND, expect=3)
        self.assert_one_clear_line(done, "memory.host: 64MiB: does not fit", "no change of one key alone makes it fit")


if __name__ == "__main__":
    unittest.main()
