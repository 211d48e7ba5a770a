"""Every experiment in configs/ checks, and runs to its end at a small size, alone and on two ranks."""

import glob
import os
import subprocess
import sys
import unittest

import yaml

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "launch"))
import runs  # noqa: E402

# What makes any experiment small, whatever it is for; its other keys stay as they are.
SMALL = ["train.steps=3", "train.epochs=none", "train.global_batch=4", "train.micro_batch=2", "model.layers=2",
         "model.width=48", "train.eval_sequences=8", "optimizer.schedule.warmup_steps=1"]
# Keys that mean something for some kinds only.
SMALL_OF_KIND = {"gpt2": ["model.heads=6", "model.context=32"],
                 "llama": ["model.heads=6", "model.kv_heads=2", "model.context=32"]}


def small(path):
    done = subprocess.run([runs.BINARY, "config", path, "--resolved"], stdout=subprocess.PIPE, text=True, check=True)
    config = yaml.safe_load(done.stdout)
    sets = SMALL + SMALL_OF_KIND.get(config["model"]["kind"], [])
    tokens = config["data"]["source"] != "fashion-mnist"
    return sets + (["model.context=32"] if config["model"]["kind"] == "rnn" and tokens else [])


class ConfigsTest(runs.RunTest):
    def setUp(self):
        super().setUp()
        # Texts prepared once serve every test here, as they serve every run of a person.
        self.env["XDG_CACHE_HOME"] = os.path.join(os.environ.get("TEST_TMPDIR", "/tmp"), "configs-test-cache")

    def test_there_are_experiments(self):
        self.assertGreaterEqual(len(glob.glob("configs/*.yaml")), 3)


    def test_every_preset_is_included_by_an_experiment_and_trains(self):
        presets = sorted(glob.glob("configs/presets/*.yaml"))
        self.assertEqual([os.path.basename(p) for p in presets], ["guide.yaml", "production.yaml"])
        for preset in presets:
            with self.subTest(preset):
                name = os.path.basename(preset).split(".")[0]
                with open(self.config) as f:
                    path = self.write(name + ".yaml", f"include: {os.path.abspath(preset)}\n" + f.read())
                done = self.run_command([runs.BINARY, "config", path, "--resolved"])
                self.assertEqual(done.returncode, 0, done.stderr)
                resolved = yaml.safe_load(done.stdout)
                self.assertEqual(resolved["model"]["width"], 32)  # the experiment's own keys win
                host = resolved["memory"]["host"]
                self.assertEqual(host, {"guide": "8GiB", "production": "50%"}[name])
                done = self.train(name, ["train.steps=2", "optimizer.schedule.warmup_steps=1"], config=path)
                self.assertTrue(self.report(name)["finished"])
                self.assertIn("plan: memory.host: " + host, done.stdout)


def add(path):
    name = os.path.splitext(os.path.basename(path))[0]

    def check(self):
        done = self.run_command([runs.BINARY, "config", path])
        self.assertEqual(done.returncode, 0, done.stderr)

    def run(ranks):
        def test(self):
            self.train("run", small(path), ranks=ranks, config=path)
            self.assertTrue(self.report("run")["finished"])
            self.assertEqual(len(self.steps("run")), 3)
        return test

    setattr(ConfigsTest, f"test_{name}_checks", check)
    setattr(ConfigsTest, f"test_{name}_runs_alone", run(0))
    setattr(ConfigsTest, f"test_{name}_runs_on_two_ranks", run(2))


for path in sorted(glob.glob("configs/*.yaml")):
    add(path)

if __name__ == "__main__":
    unittest.main()
