"""Runs of Stowage and folders of transformers, for the tests of this folder.

Needs STOWAGE_BINARY, and print_logits beside this file in the build (or in STOWAGE_PRINT_LOGITS).
"""

import json
import os
import subprocess
import sys

os.environ["HF_HUB_OFFLINE"] = "1"  # nothing here is to ask a network
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "launch"))
import runs  # noqa: E402

PRINT_LOGITS = os.environ.get("STOWAGE_PRINT_LOGITS", os.path.join(HERE, "print_logits"))

GPT2 = []
LLAMA = ["model.kind=llama", "model.kv_heads=2", "model.ffn=48"]


def last_line(done):
    return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else ""


class InteropTest(runs.RunTest):
    def export(self, run, to, *more, expect=runs.EXIT_OK):
        done = self.run_command([runs.BINARY, "export", self.path(run), "--to", self.path(to), *more])
        self.assertEqual(done.returncode, expect, f"stdout:\n{done.stdout}\nstderr:\n{done.stderr}")
        return done

    def our_logits(self, folder, tokens):
        import numpy as np
        ids, out = self.write("tokens.txt", " ".join(map(str, tokens))), self.path("logits.bin")
        done = subprocess.run([PRINT_LOGITS, self.path(folder), ids, out], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        return np.fromfile(out, dtype=np.float32).reshape(len(tokens), -1)

    def their_logits(self, model, tokens):
        import torch
        model.eval()
        with torch.no_grad():
            return model(torch.tensor([tokens])).logits[0].float().numpy()

    def assert_same_logits(self, ours, theirs):
        import numpy as np
        self.assertEqual(ours.shape, theirs.shape)
        self.assertGreater(np.abs(ours).max(), 0.05, "logits that say something")
        self.assertLess(np.abs(ours - theirs).max(), 1e-4)

    def start_from(self, folder, run, sets=(), expect=runs.EXIT_OK):
        """A run of one step with a learning rate of nothing: its checkpoint holds the starting weights. The config
        names only the folder, so that all sizes come from it."""
        config = self.write("from.yaml", f"""
run: {{name: from, threads: 1}}
model: {{init_from: {self.path(folder)}}}
data: {{train: [{self.path("train.txt")}], validation: [{self.path("validation.txt")}], format: text}}
train: {{steps: 1, global_batch: 2, eval_sequences: 1}}
optimizer: {{lr: 1e-60, weight_decay: 0, schedule: {{kind: constant}}}}
""")
        return self.train(run, sets, config=config, expect=expect)

    def parameters(self, run):
        """Of its newest checkpoint, as bytes by name."""
        return {name: data for name, data in self.weights(run).items() if not name.startswith("optimizer.")}

    def change_json(self, path, change):
        with open(self.path(path), encoding="utf-8") as f:
            value = json.load(f)
        change(value)
        self.write(path, json.dumps(value))
