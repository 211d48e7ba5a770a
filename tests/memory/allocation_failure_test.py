"""Memory ends on one rank: the step is made again by all, or the whole job saves and ends soon, non-zero, and says why."""

import glob
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "launch"))
import runs  # noqa: E402

PROGRAM = os.path.abspath("tests/memory/failing_allocation")
# On two ranks a step is one micro-batch each: 11 is the largest divisor of 22 that `auto` takes.
CONFIG = """
run: {name: tiny, seed: 5, threads: 1}
model: {kind: gpt2, layers: 2, width: 16, heads: 2, context: 12, vocabulary: 40, dropout: 0.1}
data: {source: made_up}
train: {steps: 8, global_batch: 22}
"""
NEVER = "0 0 1 one"


class AllocationFailureTest(runs.RunTest):
    # With 100 mpirun would hold up an end by 200 s.
    GRACE = 100

    def start(self, run, refuse, ranks, sets=(), expect=runs.EXIT_OK, resume=False):
        self.env["STOWAGE_TEST_REFUSE"] = refuse
        line = runs.mpirun(ranks, grace=self.GRACE) if ranks else []
        line += [PROGRAM, "train", self.write("config.yaml", CONFIG), "--run-dir", self.path(run)]
        for item in sets:
            line += ["--set", item]
        done = self.run_command(line + (["--resume"] if resume else []), timeout=60)
        self.assertEqual(done.returncode, expect, f"stdout:\n{done.stdout}\nstderr:\n{done.stderr}")
        return done

    def repeated(self, ranks, culprit, nth, what):
        run = f"run-{ranks}-{culprit}-{nth}"
        done = self.start(run, f"{culprit} 1 {nth} one", ranks)
        said = re.findall("^step 1 is made again .*$", done.stdout, re.MULTILINE)
        self.assertEqual(len(said), 1, done.stdout)
        for part in ("with micro-batches of 6 instead of 11", f"rank {culprit}: {what} ", " bytes ("):
            self.assertIn(part, said[0])
        self.assertEqual([step.get("voided", 0) for step in self.steps(run)], [1] + 7 * [0])
        self.assertEqual([step["micro_batch"] for step in self.steps(run)], 8 * [6])
        self.assertEqual(self.report(run)["voided_steps"], 1)
        return self.weights(run)

    def test_the_step_is_made_again_by_all_with_half_the_micro_batch_and_comes_to_its_bits(self):
        for ranks in (0, 2):
            whole = f"whole-{ranks}"
            self.start(whole, NEVER, ranks, ["train.micro_batch=6"])
            self.assertEqual(self.report(whole)["voided_steps"], 0)
            for culprit in range(max(ranks, 1)):
                # A pass has some tens of allocations forward and as many backward.
                self.assertEqual(self.repeated(ranks, culprit, 5, "forward"), self.weights(whole))
                self.assertEqual(self.repeated(ranks, culprit, 60, "backward"), self.weights(whole))

    def test_where_nothing_helps_all_save_and_end_with_the_first_cause(self):
        for ranks, culprit in ((0, 0), (2, 0), (2, 1)):
            reads = 1 if ranks else 2  # a step
            run = f"ended-{ranks}-{culprit}"
            done = self.start(run, f"{culprit} {3 * reads + 1} 5 all", ranks, expect=runs.EXIT_FAILURE)
            self.assert_one_clear_line(done, "step 4 does not fit with micro-batches of 1, tried twice; step 3 is saved. ",
                                       f"rank {culprit}: ", "out of memory", " bytes (")
            self.assertEqual([os.path.basename(path) for path in glob.glob(self.path(run + "/checkpoints/*"))],
                             ["step-00000003"])
            self.start(run, NEVER, ranks, resume=True)
            self.assertEqual([step["step"] for step in self.steps(run)], list(range(1, 9)))
            self.assertEqual([step["micro_batch"] for step in self.steps(run)], 3 * [11] + 5 * [1])

    def test_a_fixed_micro_batch_stays_and_the_step_is_tried_once_more(self):
        self.start("whole", NEVER, 2, ["train.micro_batch=4"])
        done = self.start("run", "1 2 9 one", 2, ["train.micro_batch=4"])
        self.assertIn("step 1 is made again as it was, since idle memory was given back: rank 1: ", done.stdout)
        self.assertEqual(self.weights("run"), self.weights("whole"))


if __name__ == "__main__":
    unittest.main()
