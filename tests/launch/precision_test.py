"""A run in bf16 from YAML to sample: it learns as in fp32 does, stops and resumes to the bit, and ranks change nothing."""

import unittest

import runs

BF16 = ["precision=bf16"]


class PrecisionTest(runs.RunTest):
    def losses(self, run):
        return [m["loss"] for m in self.steps(run)]

    def validation_loss(self, run):
        return [m["validation_loss"] for m in self.lines(run) if "validation_loss" in m][-1]

    def test_the_loss_ends_within_two_per_cent_of_fp32(self):
        self.train("fp32")
        self.train("bf16", BF16)
        self.assertNotEqual(self.losses("fp32")[0], self.losses("bf16")[0])
        self.assertLess(self.losses("bf16")[-1], 0.7 * self.losses("bf16")[0])
        for a, b in ((self.losses("fp32")[-1], self.losses("bf16")[-1]),
                     (self.validation_loss("fp32"), self.validation_loss("bf16"))):
            self.assertLess(abs(b / a - 1), 0.02)

    def test_resumed_it_is_the_run_that_was_never_stopped(self):
        sets = [*BF16, "model.dropout=0.1", "checkpoint.every=7", "train.steps=20"]
        self.train("whole", sets)
        process = self.start("broken", sets)
        self.wait_for_step("broken", 9, process)
        process.kill()
        process.communicate()
        self.train("broken", sets, resume=True)
        self.assertEqual(self.losses("whole"), self.losses("broken"))
        self.assertEqual(self.weights("whole"), self.weights("broken"))

    def test_a_checkpoint_holds_fp32_and_is_evaluated_and_sampled_as_it_was_trained(self):
        self.train("run", [*BF16, "train.steps=20"])
        tensors = self.weights("run")
        self.assertEqual(len(tensors["layer.0.attn.qkv.weight"]), 4 * 3 * 32 * 32)
        done = self.run_command([runs.BINARY, "eval", self.path("run")])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"{self.validation_loss('run'):.4f}"[:6], done.stdout)
        done = self.run_command([runs.BINARY, "sample", self.path("run"), "--prompt", "the ", "--tokens", "20"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.startswith("the "), done.stdout)

    def test_two_ranks_have_the_losses_of_one(self):
        # Gradients are summed in another order, in fp32; where that moves a weight over the edge between two bf16
        # numbers, its copy moves by 2^-8 of it. A wrong sum would show in the first step.
        sets = [*BF16, "train.steps=30"]
        self.train("alone", sets)
        self.train("two", sets, ranks=2)
        alone, two = self.losses("alone"), self.losses("two")
        self.assertLess(abs(two[0] / alone[0] - 1), 1e-6)
        for a, b in zip(alone, two):
            self.assertLess(abs(b / a - 1), 1e-3)

    def test_working_weights_and_activations_take_half(self):
        self.train("fp32", ["train.steps=3"])
        self.train("bf16", [*BF16, "train.steps=3"])
        fp32, bf16 = self.steps("fp32")[-1]["memory"], self.steps("bf16")[-1]["memory"]
        self.assertLess(bf16["parameters"], 0.55 * fp32["parameters"])
        self.assertLess(bf16["activations"], 0.75 * fp32["activations"])
        self.assertGreater(bf16["optimizer"], fp32["optimizer"])  # the masters
        self.assertEqual(bf16["gradients"], fp32["gradients"])

    def test_segments_stay_in_fp32_by_name_and_a_name_that_there_is_not_is_refused(self):
        self.train("bf16", [*BF16, "train.steps=3"])
        self.train("head", [*BF16, "train.steps=3", "fp32_segments=[head]"])
        self.assertNotEqual(self.losses("bf16"), self.losses("head"))
        done = self.train("none", [*BF16, "fp32_segments=[layer.1.atn]"], expect=runs.EXIT_FAILURE)
        self.assert_one_clear_line(done, "fp32_segments", "layer.1.atn", "layer.1.attn")
        process = self.start("stopped", [*BF16, "fp32_segments=[head]"])
        self.wait_for_step("stopped", 2, process)
        process.send_signal(runs.SIGNALS["SIGTERM"])
        process.communicate(timeout=60)
        done = self.train("stopped", BF16, resume=True, expect=runs.EXIT_FAILURE)
        self.assert_one_clear_line(done, "cannot resume", "fp32_segments")


if __name__ == "__main__":
    unittest.main()
