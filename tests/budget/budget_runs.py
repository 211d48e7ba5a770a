"""Runs the program and measures its peak; what the tests of memory.host share."""

import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "launch"))
import runs  # noqa: E402

MIB = 2**20

# Activations make most of it; a step takes some tenths of a second.
CONFIG = """
run: {name: budget, seed: 5, threads: 1}
model: {kind: gpt2, layers: 3, width: 192, heads: 4, context: 192}
data: {train: [%(train)s], validation: [%(validation)s], format: text, tokenizer: bytes}
train: {steps: 2, global_batch: 16, micro_batch: 8}
optimizer: {kind: adamw, lr: 1e-3}
"""


class BudgetRun(runs.RunTest):
    # These runs shall begin, and be held to their budget; a plan would refuse the ones that cannot end well.
    options = ("--no-plan",)

    def setUp(self):
        super().setUp()
        self.config = self.write("budget.yaml", CONFIG % {"train": self.path("train.txt"),
                                                          "validation": self.path("validation.txt")})

    def measured(self, run, sets=(), ranks=0, before=None):
        """Exit code, output, and the largest VmHWM of the processes (ranks, and mpirun, which is far smaller)."""
        with open(self.path(run + ".out"), "w+") as out:
            process = subprocess.Popen(self.command(self.config, run, sets, ranks), env=self.env, stdout=out,
                                       stderr=subprocess.STDOUT, text=True, preexec_fn=before)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            text = out.read()
        return process.returncode, text, usage.ru_maxrss * 1024

    def free_peak(self, ranks=0):
        code, text, peak = self.measured("free", ranks=ranks)
        self.assertEqual(code, runs.EXIT_OK, text)
        return peak

    def losses(self, run):
        return [step["loss"] for step in self.steps(run)]

    def assert_refused(self, code, text, budget):
        """The typed error, from the first cause, in one line; not a killed process."""
        self.assertEqual(code, runs.EXIT_FAILURE, text)
        ours = [line for line in text.splitlines() if line.startswith("stowage:")]
        self.assertEqual(len(ours), 1, text)
        for part in ("memory.host: ", "has no room for", "outside of tensors the process holds", "tensors hold",
                     "raise memory.host or lower train.micro_batch", "the largest: "):
            self.assertIn(part, ours[0])
        self.assertIn(f"memory.host: {budget}", ours[0])
