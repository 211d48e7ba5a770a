"""The reference against the values that docs/data.md and the C++ tests state, and against files made by hand."""

import json
import os
import struct
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import reference  # noqa: E402

MODEL = {"kind": "gpt2", "layers": 2, "width": 16, "heads": 2, "context": 8, "ffn": 64, "vocabulary": 32,
         "dropout": 0.0, "bias": True, "tie": True}
CONFIG = {
    "run": {"seed": 3},
    "model": MODEL,
    "train": {"steps": 20, "global_batch": 6},
    "optimizer": {"kind": "adamw", "lr": 1e-2, "betas": [0.9, 0.95], "eps": 1e-8, "weight_decay": 0.1, "grad_clip": 1.0,
                  "schedule": {"kind": "cosine", "warmup_steps": 4, "final_lr": 1e-3}},
}


def shapes(model):
    """Stowage's parameters of this model."""
    width, ffn, bias = model["width"], model["ffn"], model["bias"]
    result = {"embedding.token.weight": [model["vocabulary"], width],
              "embedding.position.weight": [model["context"], width]}

    def add(name, *shape):
        result[name + ".weight"] = list(shape)
        if bias:
            result[name + ".bias"] = [shape[0]]

    for i in range(model["layers"]):
        add(f"layer.{i}.attn.norm", width)
        add(f"layer.{i}.attn.qkv", 3 * width, width)
        add(f"layer.{i}.attn.out", width, width)
        add(f"layer.{i}.ffn.norm", width)
        add(f"layer.{i}.ffn.up", ffn, width)
        add(f"layer.{i}.ffn.down", width, ffn)
    add("head.norm", width)
    if not model["tie"]:
        result["head.weight"] = [model["vocabulary"], width]
    return result


def random_weights(model, seed=1):
    import torch
    generator = torch.Generator().manual_seed(seed)
    return {name: 0.1 * torch.randn(shape, generator=generator) + (1.0 if ".norm.weight" in name else 0.0)
            for name, shape in shapes(model).items()}


class OrderTest(unittest.TestCase):
    """The same numbers stand in trainer/data/sampler_test.cc and token_dataset_test.cc."""

    def test_permutation(self):
        self.assertEqual([reference.permuted_index(0, 10, i) for i in range(10)], [4, 9, 7, 5, 1, 8, 3, 6, 2, 0])
        key = reference.hash_key(1, 0x5A3D, 0)
        self.assertEqual([reference.permuted_index(key, 10, i) for i in range(10)], [3, 5, 2, 1, 4, 8, 9, 0, 7, 6])
        self.assertEqual(reference.permuted_index(42, 1 << 40, 123456789), 551731661207)

    def test_shifts(self):
        # 1000 tokens, context 16: 61 samples; the first sample of epoch e shows its shift.
        n, max_shift = reference.training_samples(1000, 16)
        self.assertEqual((n, max_shift), (61, 15))
        for epoch, shift in enumerate([0, 4, 3, 5, 3, 15]):
            starts = [reference.global_batch(9, 1000, 16, 1, epoch * n + i)[0] for i in range(n)]
            self.assertEqual(sorted(starts), [i * 16 + shift for i in range(n)])

    def test_batches_run_on_or_are_flushed(self):
        self.assertEqual([len(reference.global_batch(1, 11 * 8, 8, 4, s, True)) for s in range(6)], [4, 4, 2] * 2)
        self.assertEqual([len(reference.global_batch(1, 11 * 8, 8, 4, s)) for s in range(6)], [4] * 6)
        flat = [i for s in range(5) for i in reference.global_batch(1, 11 * 8, 8, 4, s)]
        self.assertEqual(flat, reference.global_batch(1, 11 * 8, 8, 20, 0))


class FilesTest(unittest.TestCase):
    def setUp(self):
        keep = tempfile.TemporaryDirectory()
        self.addCleanup(keep.cleanup)
        self.folder = keep.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def test_shard(self):
        with open(self.path("a.stow"), "wb") as f:
            f.write(struct.pack("<8sIIQQI28x", b"STOWTOKS", 1, 2, 300, 3, 0) + struct.pack("<3H", 1, 299, 7))
        self.assertEqual(reference.read_shard(self.path("a.stow")).tolist(), [1, 299, 7])
        with open(self.path("a.stow"), "ab") as f:
            f.write(b"xx")
        with self.assertRaisesRegex(SystemExit, "3 tokens.*holds 4"):
            reference.read_shard(self.path("a.stow"))

    def test_checkpoint_in_ranges_of_several_files(self):
        for name, floats in (("a.bin", [0, 0, 1, 2, 3]), ("b.bin", [4, 5, 6])):
            with open(self.path(name), "wb") as f:
                f.write(struct.pack(f"<{len(floats)}f", *floats))
        ranges = [{"file": "a.bin", "offset": 8, "first": 0, "numel": 3},
                  {"file": "b.bin", "offset": 0, "first": 3, "numel": 3}]
        tensor = {"dtype": "F32", "shape": [2, 3], "ranges": ranges}
        with open(self.path("manifest.json"), "w", encoding="utf-8") as f:
            json.dump({"tensors": {"head.weight": tensor, "optimizer.exp_avg.head.weight": tensor}}, f)
        weights = reference.read_weights(self.folder)
        self.assertEqual(list(weights), ["head.weight"])
        self.assertEqual(weights["head.weight"].tolist(), [[1, 2, 3], [4, 5, 6]])


class TrainingTest(unittest.TestCase):
    def train(self, steps=20, micro_batch=6, **model):
        import numpy as np
        import torch
        torch.set_num_threads(1)
        config = dict(CONFIG, model={**MODEL, **model})
        tokens = np.tile(np.arange(32), 10).astype(np.uint8)
        net = reference.make_model(config["model"], random_weights(config["model"]))
        return reference.train(config, net, tokens, steps, micro_batch), net, tokens

    def test_learns_what_can_be_learned(self):
        results, model, tokens = self.train()
        self.assertEqual([r["step"] for r in results], list(range(1, 21)))
        self.assertLess(results[-1]["loss"], 0.8 * results[0]["loss"])
        self.assertLess(reference.evaluate(model, tokens, 8, batch=7), results[0]["loss"])

    def test_every_form_of_the_model_takes_its_weights(self):
        for form in ({"tie": False}, {"bias": False}, {"tie": False, "bias": False}, {"ffn": 24}):
            with self.subTest(form):
                self.assertEqual(len(self.train(steps=1, **form)[0]), 1)

    def test_missing_or_misshapen_weights_are_an_error(self):
        weights = random_weights(MODEL)
        with self.assertRaisesRegex(RuntimeError, "qkv"):
            reference.make_model(MODEL, {**weights, "layer.0.attn.qkv.weight": weights["layer.0.attn.out.weight"]})
        del weights["head.norm.bias"]
        with self.assertRaisesRegex(RuntimeError, "head.norm.bias"):
            reference.make_model(MODEL, weights)

    def test_micro_batches_change_rounding_only(self):
        whole, cut = self.train(steps=5)[0], self.train(steps=5, micro_batch=4)[0]
        for a, b in zip(whole, cut):
            self.assertAlmostEqual(a["loss"], b["loss"], delta=1e-5 * a["loss"])
            self.assertAlmostEqual(a["grad_norm"], b["grad_norm"], delta=1e-4 * a["grad_norm"])

    def test_dropout_is_refused(self):
        with self.assertRaisesRegex(SystemExit, "dropout"):
            reference.make_model({**MODEL, "dropout": 0.1}, {})

    def test_schedules(self):
        def rates(kind):
            schedule = {"kind": kind, "warmup_steps": 2, "final_lr": 0.1}
            return [round(reference.learning_rate({"lr": 1.0, "schedule": schedule}, 6, s), 6) for s in range(8)]
        self.assertEqual(rates("constant"), [0.5] + [1.0] * 7)
        self.assertEqual(rates("linear"), [0.5, 1.0, 1.0, 0.775, 0.55, 0.325, 0.1, 0.1])
        self.assertEqual(rates("cosine"), [0.5, 1.0, 1.0, 0.868198, 0.55, 0.231802, 0.1, 0.1])


if __name__ == "__main__":
    unittest.main()
