"""What takes half an hour: GPT-2 124M step by step, and the baby GPT's whole recipe."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import parity_runs  # noqa: E402


class LongParityTest(parity_runs.ParityRun):
    def test_losses_of_20_steps_of_gpt2_124m(self):
        self.compare(os.path.join(parity_runs.CONFIGS, "gpt2_124m.yaml"), ["run.threads=1", "train.steps=20"])

    def validation_loss_of_the_baby_gpt(self, seed):
        config = os.path.join(parity_runs.CONFIGS, "baby_gpt.yaml")
        sets = [f"run.seed={seed}", "run.threads=2"]
        self.train("run", sets, config=config, timeout=3000)
        ours = [line["validation_loss"] for line in self.lines("run") if "validation_loss" in line][-1]
        theirs = self.reference(self.initial_checkpoint(config, sets), self.path("run/config.yaml"), 2,
                                "--validation", self.shard("validation.stow"))["validation_loss"]
        parity_runs.say(f"seed {seed}: validation loss {ours:.4f}, PyTorch's {theirs:.4f}")
        self.assertLess(abs(ours - theirs), 0.01 * theirs)

    def test_validation_loss_of_the_baby_gpt_with_seed_1(self):
        self.validation_loss_of_the_baby_gpt(1)

    def test_validation_loss_of_the_baby_gpt_with_seed_2(self):
        self.validation_loss_of_the_baby_gpt(2)


if __name__ == "__main__":
    unittest.main()
