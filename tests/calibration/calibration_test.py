"""`stowage calibrate` as people run it: what it writes is read by another process, and real runs lie below it."""

import json
import os
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.getcwd(), "tests", "launch"))

import runs  # noqa: E402

PREDICT = os.path.join("tests", "calibration", "predict_outside")
MIB = 2**20

# Not of the sizes that calibration trains: other width, depth, tokens.
CONFIG = """
run: {name: other, seed: 5}
model: {kind: gpt2, layers: 3, width: 128, heads: 4, context: 96}
data: {train: [%(train)s], validation: [%(train)s], format: text, tokenizer: bytes, cache: %(cache)s}
train: {steps: 3, global_batch: %(batch)d, micro_batch: 8, eval_sequences: 8}
precision: %(precision)s
"""


class CalibrationTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.env = dict(os.environ, XDG_CACHE_HOME=os.path.join(cls.folder.name, "cache"))
        cls.file = os.path.join(cls.folder.name, "cache", "stowage", "machine.json")
        cls.before = cls.predict("fp32", 1, 2, 8)
        cls.first = cls.calibrate()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def calibrate(cls, *options):
        return subprocess.run([runs.BINARY, "calibrate", *options], env=cls.env, capture_output=True, text=True)

    @classmethod
    def predict(cls, *query):
        done = subprocess.run([PREDICT, *map(str, query)], env=cls.env, capture_output=True, text=True)
        return done.stdout.splitlines() if done.returncode == 0 else [done.stderr]

    def train(self, precision, ranks):
        name = f"{precision}-{ranks}"
        text = os.path.join(self.folder.name, "text.txt")
        with open(text, "w") as f:
            f.write(runs.text_of(64))
        config = os.path.join(self.folder.name, name + ".yaml")
        with open(config, "w") as f:
            f.write(CONFIG % {"train": text, "cache": os.path.join(self.folder.name, "data"),
                              "precision": precision, "batch": 8 * ranks})
        launcher = runs.mpirun(ranks) if ranks > 1 else []
        run_dir = os.path.join(self.folder.name, name)
        done = subprocess.run(launcher + [runs.BINARY, "train", config, "--run-dir", run_dir],
                              env=self.env, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(run_dir, "report.json")) as f:
            return json.load(f)

    def test_writes_a_file_that_another_process_takes_as_measured(self):
        self.assertEqual(self.first.returncode, 0, self.first.stderr)
        self.assertIn(self.file, self.first.stdout)
        self.assertTrue(self.before[0].startswith("estimated "), self.before)
        after = self.predict("fp32", 1, 2, 8)
        self.assertTrue(after[0].startswith("measured this machine"), after)

    def test_a_second_time_keeps_the_file(self):
        with open(self.file) as f:
            before = f.read()
        done = self.calibrate()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("already", done.stdout)
        with open(self.file) as f:
            self.assertEqual(f.read(), before)

    def test_an_altered_file_is_refused_with_what_to_do(self):
        with open(self.file) as f:
            good = f.read()
        try:
            with open(self.file, "w") as f:
                f.write(good.replace('"cores": ', '"cores": 1'))
            said = self.predict("fp32", 1, 2, 8)[0]
            self.assertIn("altered", said)
            self.assertIn("stowage calibrate", said)
        finally:
            with open(self.file, "w") as f:
                f.write(good)

    def test_under_mpirun_it_is_refused(self):
        done = subprocess.run(runs.mpirun(2) + [runs.BINARY, "calibrate"], env=self.env, capture_output=True, text=True)
        self.assertEqual(done.returncode, runs.EXIT_USAGE)
        self.assertIn("without mpirun", done.stderr)

    def test_what_runs_hold_outside_lies_below_what_is_predicted_and_within_32_mib(self):
        for precision, ranks in (("fp32", 1), ("bf16", 1), ("fp32", 2)):
            with self.subTest(precision=precision, ranks=ranks):
                report = self.train(precision, ranks)
                peak = report["measured"]["at_rss_peak"]
                ours = {k: v for k, v in peak["outside_bytes"].items()
                        if not k.startswith("pool") and "windows" not in k and k != "tensors_unwritten"}
                measured = sum(ours.values()) + peak["unexplained_bytes"]
                lines = self.predict(precision, ranks, report["threads"], 8, 8 * 96, 512, 128)[1:]
                predicted = sum(int(line.split()[1]) for line in lines)
                self.assertGreaterEqual(predicted, measured, (ours, lines))
                self.assertLessEqual(predicted - measured, 32 * MIB, (ours, lines))


if __name__ == "__main__":
    unittest.main()
