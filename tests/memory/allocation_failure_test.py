"""Memory ends on one rank: the whole job ends soon, non-zero, and says why."""

import os
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "launch"))
import runs  # noqa: E402

PROGRAM = os.path.abspath("tests/memory/failing_allocation")
CONFIG = """
run: {name: tiny, seed: 5, threads: 1}
model: {kind: gpt2, layers: 2, width: 16, heads: 2, context: 12, vocabulary: 40}
data: {source: made_up}
train: {steps: 1000000, global_batch: 8, micro_batch: 2}
"""


class AllocationFailureTest(runs.RunTest):
    # With 100 mpirun would hold up an end by 200 s.
    GRACE = 100

    def check(self, ranks, culprit, read, nth):
        name = f"run-{ranks}-{culprit}-{read}-{nth}"
        marker = self.path(name + ".refused")
        self.env["STOWAGE_TEST_REFUSE"] = f"{culprit} {read} {nth} {marker}"
        line = runs.mpirun(ranks, grace=self.GRACE) if ranks else []
        line += [PROGRAM, "train", self.write(name + ".yaml", CONFIG), "--run-dir", self.path(name)]
        process = subprocess.Popen(line, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        end = time.monotonic() + 60
        while not os.path.exists(marker):
            self.assertIsNone(process.poll(), process.poll() is not None and process.communicate())
            self.assertLess(time.monotonic(), end, "the refusal did not come")
            time.sleep(0.002)
        out, err = process.communicate(timeout=10)
        self.assertEqual(process.returncode, runs.EXIT_FAILURE, err)
        done = subprocess.CompletedProcess(line, process.returncode, out, err)
        self.assert_one_clear_line(done, f"rank {culprit}: ", "out of memory")
        return err

    def test_one_rank_of_two_ends_both_with_the_first_cause(self):
        for culprit in (0, 1):
            # A step reads two micro-batches a rank; a pass has some tens of allocations forward and as many backward.
            self.assertIn("forward", self.check(2, culprit, read=7, nth=5))
            self.assertIn("backward", self.check(2, culprit, read=8, nth=55))

    def test_a_rank_alone_says_the_same(self):
        self.assertIn("forward", self.check(0, 0, read=9, nth=3))


if __name__ == "__main__":
    unittest.main()
