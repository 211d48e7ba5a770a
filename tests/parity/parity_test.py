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


# What a kind adds to CONFIG or replaces in it. Sizes that no power of two divides are among them.
MODELS = {
    "llama": ("{kind: llama, layers: 2, width: 96, heads: 6, kv_heads: 2, context: 48, norm_eps: 1e-6}", ""),
    "rnn_lstm_text": ("{kind: rnn, cell: lstm, layers: 2, width: 96, context: 48}", ""),
    "rnn_gru_text": ("{kind: rnn, cell: gru, layers: 1, width: 96, context: 48, tie: true}", ""),
    "mlp": ("{kind: mlp, layers: 2, width: 100}", "{source: fashion-mnist}"),
    "cnn": ("{kind: cnn, layers: 4, width: 8}", "{source: fashion-mnist}"),
    "rnn_lstm": ("{kind: rnn, cell: lstm, layers: 2, width: 48}", "{source: fashion-mnist, view: [28, 28]}"),
    "rnn_gru": ("{kind: rnn, cell: gru, layers: 1, width: 48}", "{source: fashion-mnist, view: [28, 28]}"),
}


def config_of(name):
    model, data = MODELS[name]
    lines = []
    for line in CONFIG.splitlines():
        if line.startswith("model:"):
            line = f"model: {model}"
        elif line.startswith("data:") and data:
            line = f"data: {data}"
        elif line.startswith("train:"):
            samples = "global_batch: 32, micro_batch: 16" if data else "global_batch: 4, micro_batch: 2"
            line = f"train: {{steps: 40, {samples}, eval_sequences: 64}}"
        lines.append(line)
    return "\n".join(lines) + "\n"


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


def add(name):
    def parity(self):
        losses = self.compare(self.write("model.yaml", config_of(name)))
        self.assertLess(losses[-1], 0.98 * losses[0])

    def bf16(self):
        # The mean of the last steps: one step's loss depends on its samples more than on anything else.
        config = self.write("model.yaml", config_of(name))
        ends = []
        for precision in ("fp32", "bf16"):
            self.train(precision, [f"precision={precision}"], config=config)
            ends.append(sum(step["loss"] for step in self.steps(precision)[-5:]) / 5)
        parity_runs.say(f"{name}: loss of the last steps {ends[0]:.5f} in fp32, {ends[1]:.5f} in bf16")
        self.assertNotEqual(ends[0], ends[1])
        self.assertLess(abs(ends[1] - ends[0]), 0.02 * ends[0])

    setattr(ParityTest, f"test_losses_of_{name}", parity)
    setattr(ParityTest, f"test_bf16_losses_of_{name}", bf16)


for kind in MODELS:
    add(kind)

if __name__ == "__main__":
    unittest.main()
