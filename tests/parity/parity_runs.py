"""Stowage and PyTorch on the same weights and batches, for the tests in this folder.

Needs STOWAGE_BINARY, and Debian's bible-kjv for the text.
"""

import json
import os
import subprocess
import sys

import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "launch"))
import runs  # noqa: E402

IMAGES = "/usr/share/datasets/fashion-mnist"
CONFIGS = os.path.join(HERE, "..", "..", "configs")


def say(line):
    """To the test's log, and to a file that Bazel keeps where it runs the test."""
    print(line, flush=True)
    folder = os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR")
    if folder:
        with open(os.path.join(folder, "parity.txt"), "a", encoding="utf-8") as f:
            f.write(line + "\n")


class ParityRun(runs.RunTest):
    def run_command(self, line, timeout=120, **kwargs):
        # A byte model that has learned little ends its run with a sample that is no UTF-8.
        return super().run_command(line, timeout, errors="replace", **kwargs)

    def shard(self, name):
        for folder, _, files in os.walk(self.path("cache")):
            if name in files:
                return os.path.join(folder, name)
        self.fail(f"no {name} was prepared")

    def initial_checkpoint(self, config, sets=()):
        """The weights before the first step: those after one whose learning rate is zero once it is in fp32."""
        nothing = ["train.steps=1", "optimizer.lr=1e-60", "optimizer.schedule.kind=constant",
                   "optimizer.schedule.warmup_steps=0", "train.eval_sequences=1"]
        self.train("initial", [*sets, *nothing], config=config, timeout=900)
        return self.checkpoints("initial")[-1]

    def reference(self, checkpoint, config, threads, *more):
        """What reference.py measured. `config`: the run's resolved one."""
        with open(config, encoding="utf-8") as f:
            images = "source: fashion-mnist" in f.read()
        out = self.path(f"reference-{threads}{'-fp64' if '--fp64' in more else ''}.json")
        subprocess.run([sys.executable, os.path.join(HERE, "reference.py"), "--checkpoint", checkpoint,
                        "--config", config, "--train", IMAGES if images else self.shard("train.stow"), "--threads", str(threads),
                        "--out", out, *more], check=True, timeout=3000)
        with open(out, encoding="utf-8") as f:
            return json.load(f)

    def compare(self, config, sets=()):
        """Loss by loss. What is allowed is measured, not chosen: at each step three times what PyTorch has been from
        itself up to there, computed with 1 and with 2 threads, or 1e-6 relative if that is more. "Up to there" because
        two curves that drift apart cross now and then, and a crossing says nothing. The gradient's norm only in the
        first five steps: what it means shows there, later it tells of drift, thirty times as loud as the loss.

        PyTorch's convolutions give a sample the same bits with any number of threads: how they round, which differs from
        one implementation to the next, does not show there. With convolutions PyTorch from itself is therefore also how
        far it is from the same run in fp64. (Its other memory format, or oneDNN switched off, are as far from it.)
        Returns Stowage's losses."""
        self.train("run", sets, config=config, timeout=3000)
        ours = self.steps("run")
        checkpoint = self.initial_checkpoint(config, sets)
        resolved = self.path("run/config.yaml")
        one, *others = (self.reference(checkpoint, resolved, *how)["steps"] for how in self.ways(resolved))
        self.assertEqual(len(ours), len(one))
        for key, most_steps in (("loss", len(ours)), ("grad_norm", 5)):
            self.compare_curves(key, *([step[key] for step in steps[:most_steps]] for steps in (ours, one, *others)))
        return [step["loss"] for step in ours]

    def ways(self, config):
        """How PyTorch runs: threads, and further arguments. The first is what Stowage is compared with."""
        with open(config, encoding="utf-8") as f:
            convolutions = yaml.safe_load(f)["model"]["kind"] == "cnn"
        return [(1,), (2,), *([(1, "--fp64")] if convolutions else [])]

    def compare_curves(self, key, ours, one, *others):
        own, worst, too_far = 0.0, 0.0, []
        say(f"{self.id()}: {key}\n"
            "   step         Stowage         PyTorch  PyTorch from itself  Stowage from it  allowed")
        for step, (a, b, *rest) in enumerate(zip(ours, one, *others), 1):
            itself = max(abs(b - c) / b for c in rest)
            own = max(own, itself)
            apart, allowed = abs(a - b) / b, max(3 * own, 1e-6)
            worst = max(worst, apart / allowed)
            if not apart <= allowed:
                too_far.append(step)
            if step in (1, 2, 5) or step % 10 == 0:
                say(f"  {step:5} {a:15.9f} {b:15.9f} {itself:20.2e} {apart:16.2e} {allowed:8.1e}")
        say(f"  at most {worst:.2f} of what is allowed")
        self.assertEqual(too_far, [], f"{key}: further from PyTorch than allowed in these steps")
