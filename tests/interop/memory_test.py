"""A model goes out by ranges: what `stowage export` holds does not grow with it."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import folders  # noqa: E402
from folders import runs  # noqa: E402


def peak_mib(line):
    """The most memory that a program held, in MiB."""
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.execv(line[0], line)
    _, status, usage = os.wait4(pid, 0)
    return status, usage.ru_maxrss / 1024


class MemoryTest(folders.InteropTest):
    MIB = int(os.environ.get("STOWAGE_EXPORT_TEST_MIB", "200"))
    ALLOWED_MIB = float(os.environ.get("STOWAGE_EXPORT_ALLOWED_MIB", "60"))

    def test_export_takes_little_more_than_the_program_itself(self):
        checkpoint = self.big_checkpoint()
        status, base = peak_mib([runs.BINARY, "version"])
        self.assertEqual(status, 0)
        status, peak = peak_mib([runs.BINARY, "export", checkpoint, "--to", self.path("out")])
        self.assertEqual(status, 0)
        size = os.path.getsize(self.path("out/model.safetensors")) / 2**20
        print(f"{size:.0f} MiB of weights: {peak:.0f} MiB, {peak - base:.0f} MiB above `stowage version` ({base:.0f})")
        self.assertGreater(size, 0.9 * self.MIB)
        self.assertLess(peak - base, self.ALLOWED_MIB)

    def big_checkpoint(self):
        """A GPT-2 of about MIB, after one step on a few tokens: its parameters are all that is large."""
        width = 1024 if self.MIB < 1000 else 2048
        layers = -(-self.MIB * 2**20 // (12 * width * width * 4))
        self.train("big", [f"model.width={width}", f"model.layers={layers}", "model.context=8", "train.steps=1",
                           "train.global_batch=1", "train.micro_batch=1", "train.eval_sequences=1",
                           "optimizer.kind=sgd"], timeout=600)
        return self.checkpoints("big")[-1]


if __name__ == "__main__":
    unittest.main()
