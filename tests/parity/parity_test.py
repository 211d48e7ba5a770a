"""Stowage's losses are PyTorch's, step by step, but for rounding."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import parity_runs  # noqa: E402

CONFIG = """
run: {name: parity, seed: 7, threads: 1}
model: {kind: gpt2, layers: 4, width: 256, heads: 8, context: 64}
data: {source: kjv, tokenizer: bytes}
train: {steps: 100, global_batch: 4, micro_batch: 2, eval_sequences: 8}
optimizer: {kind: adamw, lr: 1e-3, betas: [0.9, 0.95], weight_decay: 0.1, grad_clip: 1.0,
            schedule: {kind: cosine, warmup_steps: 10, final_lr: 1e-4}}
"""


class ParityTest(parity_runs.ParityRun):
    def test_losses_of_100_steps_of_a_small_gpt(self):
        losses = self.compare(self.write("small.yaml", CONFIG))
        self.assertLess(losses[-1], losses[0] - 1.0)  # equal losses of models that stand still would prove little

    def test_losses_with_a_free_head_and_uneven_micro_batches(self):
        # A micro-batch of 3 and one of 1 a step.
        self.compare(self.write("small.yaml", CONFIG),
                     ["train.steps=20", "model.tie=false", "train.micro_batch=3", "model.layers=2"])

    def test_losses_without_biases_and_clipping(self):
        self.compare(self.write("small.yaml", CONFIG),
                     ["train.steps=20", "model.bias=false", "optimizer.grad_clip=0", "model.layers=2",
                      "optimizer.schedule.kind=linear"])


if __name__ == "__main__":
    unittest.main()
