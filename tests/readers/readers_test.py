"""Other people's readers open what we write: safetensors' own, and TensorBoard's own."""

import glob
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "launch"))
import runs  # noqa: E402


class ReadersTest(runs.RunTest):
    SETS = ["train.steps=6", "train.eval_every=3"]

    def test_safetensors_opens_the_checkpoints_of_several_ranks(self):
        from safetensors import safe_open
        self.train("run", self.SETS, ranks=2)
        shapes, raw = {}, {}
        files = sorted(glob.glob(self.checkpoints("run")[-1] + "/*.safetensors"))
        self.assertEqual(len(files), 2)
        for path in files:
            with safe_open(path, framework="numpy") as f:
                for name in f.keys():
                    tensor = f.get_tensor(name)
                    self.assertEqual(str(tensor.dtype), "float32")
                    shapes[name], raw[name] = tensor.shape, tensor.tobytes()
        self.assertEqual(shapes["embedding.token.weight"], (256, 32))
        self.assertEqual(shapes["layer.1.ffn.up.weight"], (128, 32))
        self.assertEqual(shapes["optimizer.exp_avg.layer.1.ffn.up.weight"], (128, 32))
        self.assertEqual(raw, self.weights("run"))

    def test_tensorboard_reads_the_events(self):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        self.train("run", self.SETS)
        events = EventAccumulator(self.path("run"))
        events.Reload()
        tags = events.Tags()["scalars"]
        loss = "train/loss"
        self.assertIn(loss, tags)
        self.assertEqual([e.step for e in events.Scalars(loss)], [1, 2, 3, 4, 5, 6])
        for event, step in zip(events.Scalars(loss), self.steps("run")):
            self.assertAlmostEqual(event.value, step["loss"], places=5)
        validation = "validation/loss"
        self.assertIn(validation, tags)
        self.assertEqual([e.step for e in events.Scalars(validation)], [3, 6])


if __name__ == "__main__":
    unittest.main()
