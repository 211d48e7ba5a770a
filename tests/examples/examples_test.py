"""The programs of examples/ train alone and under mpirun, with equal losses; what they cannot do they say."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "launch"))
import runs  # noqa: E402

OWN_MODULES = os.path.abspath("examples/own_modules")
OWN_KIND = os.path.abspath("examples/own_kind")
OWN_YAML = os.path.abspath("examples/own_kind.yaml")
SMALL = ["run.threads=1", "train.steps=6", "train.eval_every=3", "train.eval_sequences=64"]


class ExamplesTest(runs.RunTest):
    def assert_equal_losses(self, one, two, steps):
        a, b = self.steps(one), self.steps(two)
        self.assertEqual([len(a), len(b)], [steps, steps])
        for x, y in zip(a, b):
            self.assertLess(abs(x["loss"] / y["loss"] - 1), 1e-5, f"step {x['step']}")
        for x, y in zip(*([m for m in self.lines(run) if "validation_loss" in m] for run in (one, two))):
            self.assertLess(abs(x["validation_loss"] / y["validation_loss"] - 1), 1e-5)

    def own_kind(self, *words, ranks=0, expect=runs.EXIT_OK):
        line = (runs.mpirun(ranks) if ranks else []) + [OWN_KIND, *words]
        done = self.run_command(line, cwd=self.dir)
        self.assertEqual(done.returncode, expect, f"{line}\n{done.stdout}\n{done.stderr}")
        return done

    def unfinish(self, run):
        """As if it had been killed after its last checkpoint: a finished run is not resumed."""
        os.remove(self.path(run + "/report.json"))

    def train_own_kind(self, run, sets=(), ranks=0, **kwargs):
        words = ["train", OWN_YAML, "--run-dir", self.path(run)]
        for item in [*SMALL, *sets]:
            words += ["--set", item]
        return self.own_kind(*words, ranks=ranks, **kwargs)

    def test_own_modules_alone_and_on_two_ranks(self):
        for run, launcher in (("one", []), ("two", runs.mpirun(2))):
            os.mkdir(self.path(run))
            # Alone on one core, so that it computes with one thread as each of the two does.
            one_core = None if launcher else lambda: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
            done = self.run_command([*launcher, OWN_MODULES, "8"], cwd=self.path(run), preexec_fn=one_core)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIn("Run folder: runs/own_modules", done.stdout)
        self.assert_equal_losses("one/runs/own_modules", "two/runs/own_modules", 8)
        losses = [m["loss"] for m in self.steps("one/runs/own_modules")]
        self.assertLess(losses[-1], losses[0])

    def test_own_kind_trains_evaluates_and_resumes_on_one_and_two_ranks(self):
        self.train_own_kind("one")
        self.train_own_kind("two", ranks=2)
        self.assert_equal_losses("one", "two", 6)
        done = self.own_kind("eval", self.path("one"), "--sequences", "64")
        self.assertIn("validation_loss", done.stdout)
        # Dropout and the order of samples go on as if nothing had happened: the bits of the unbroken run.
        self.train_own_kind("halves", ["train.steps=3", "optimizer.schedule.kind=constant"])
        self.unfinish("halves")
        self.own_kind("train", OWN_YAML, "--run-dir", self.path("halves"), "--resume",
                      *sum((["--set", s] for s in [*SMALL, "optimizer.schedule.kind=constant"]), []))
        self.train_own_kind("whole", ["optimizer.schedule.kind=constant"])
        self.assertEqual(self.weights("halves"), self.weights("whole"))

    def test_options_change_the_model_and_are_kept(self):
        self.train_own_kind("three", ["model.options.blocks=3", "train.steps=1"])
        self.assertIn("block2.conv1.weight", self.weights("three"))
        with open(self.path("three/config.yaml")) as f:
            text = f.read()
        self.unfinish("three")
        self.assertIn("options: {blocks: 3, channels: 16, dropout: 0.1}", text)
        done = self.own_kind("train", OWN_YAML, "--run-dir", self.path("three"), "--resume", "--set",
                             "model.options.blocks=2", *sum((["--set", s] for s in SMALL), []),
                             expect=runs.EXIT_FAILURE)
        self.assert_one_clear_line(done, "model.options: {blocks: 3,")

    def test_help_keys_and_schema_know_the_own_kind(self):
        for words in (["--help"], ["config", "--keys"]):
            text = self.own_kind(*words).stdout
            for part in ("my_net", "model.options.blocks: a whole number [2]", "my_fashion"):
                self.assertIn(part, text)
        self.assertIn('"my_net"', self.own_kind("config", "--schema").stdout)
        self.assertIn("good", self.own_kind("config", OWN_YAML).stdout)

    def test_bad_input_is_one_clear_line(self):
        for sets, parts in (
            (["model.kind=my_met"], ["model.kind: must be one of", "this program's my_net", "did you mean my_net?"]),
            (["model.options.bloks=3"], ["model.options.bloks: model kind my_net has no such option", "blocks?"]),
            (["model.options.blocks=many"], ["model.options.blocks: must be a whole number, found many"]),
            (["data.source=my_fashon"], ["data.source: must be", "did you mean my_fashion?"]),
        ):
            self.assert_one_clear_line(self.train_own_kind("bad", sets, expect=runs.EXIT_USAGE), *parts)
        done = self.train_own_kind("bad", ["model.options.channels=6"], expect=runs.EXIT_FAILURE)
        self.assert_one_clear_line(done, "model kind my_net: model.options.channels: must be a multiple of 4")
        done = self.train_own_kind("gone", ["data.train=[/nowhere]"], ranks=2, expect=runs.EXIT_FAILURE)
        self.assert_one_clear_line(done, "data.source my_fashion: /nowhere/train-images-idx3-ubyte.gz")

    def test_a_kind_that_this_program_does_not_know_is_named_with_its_place(self):
        line = [runs.BINARY, "config", OWN_YAML]
        done = self.run_command(line)
        self.assertEqual(done.returncode, runs.EXIT_USAGE)
        self.assert_one_clear_line(done, OWN_YAML + ":3:15: model.kind: must be one of", "found my_net")
        self.train_own_kind("run", ["train.steps=1"])
        done = self.run_command([runs.BINARY, "eval", self.path("run")])
        self.assertEqual(done.returncode, runs.EXIT_FAILURE)
        self.assert_one_clear_line(done, "model.kind: must be one of", "found my_net")


if __name__ == "__main__":
    unittest.main()
