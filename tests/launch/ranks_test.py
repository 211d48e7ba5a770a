"""1, 2, 3 and 4 ranks by mpirun train alike; processes start and end in order."""

import glob
import json
import os
import signal
import time
import unittest

import runs


class RanksTest(runs.RunTest):
    def assert_same_losses(self, sets):
        self.train("alone", sets)
        alone = self.steps("alone")
        self.assertEqual(len(alone), 100)
        weights = None
        for ranks in (1, 2, 3, 4):
            name = f"ranks-{ranks}"
            self.train(name, sets, ranks=ranks)
            steps = self.steps(name)
            self.assertEqual(len(steps), 100)
            for a, b in zip(alone, steps):
                self.assertLess(abs(a["loss"] / b["loss"] - 1), 1e-5, f"{ranks} ranks, step {a['step']}")
                self.assertEqual(a["tokens"], b["tokens"])
            last = [m for m in self.lines(name) if "validation_loss" in m][-1]
            first = [m for m in self.lines("alone") if "validation_loss" in m][-1]
            # Each validation sequence is counted once, however many ranks share them.
            self.assertEqual(last["tokens"], first["tokens"])
            self.assertLess(abs(last["validation_loss"] / first["validation_loss"] - 1), 1e-5)

    def test_losses_agree_at_equal_global_batch(self):
        self.assert_same_losses(["train.global_batch=12", "train.micro_batch=2"])

    def test_losses_agree_where_no_world_size_divides_the_batch(self):
        # 7 micro-batches, the last one smaller: 2, 3 and 4 ranks all have null micro-batches.
        self.assert_same_losses(["train.global_batch=13", "train.micro_batch=2"])

    def test_one_rank_under_mpirun_gives_the_bits_of_none(self):
        sets = ["train.steps=10"]
        self.train("alone", sets)
        self.train("one", sets, ranks=1)
        self.assertEqual(self.weights("alone"), self.weights("one"))

    def test_eight_ranks_start_and_end_in_order(self):
        self.train("eight", ["train.steps=3", "train.global_batch=16"], ranks=8)
        logs = sorted(os.path.basename(p) for p in glob.glob(self.path("eight/log/rank-*.txt")))
        self.assertEqual(logs, [f"rank-{r}.txt" for r in range(8)])
        time.sleep(0.2)
        self.assertEqual(runs.ranks_of(1), [], "an orphan was left")

    def test_only_rank_0_speaks(self):
        alone = self.train("alone", ["train.steps=5"])
        two = self.train("two", ["train.steps=5"], ranks=2)
        self.assertEqual(sum("step" in l and "/5" in l for l in two.stdout.splitlines()),
                         sum("step" in l and "/5" in l for l in alone.stdout.splitlines()))

    def test_leftover_samples_of_an_epoch_make_a_last_smaller_step(self):
        self.write("train.txt", runs.text_of(1))
        epoch = ["train.steps=none", "train.epochs=1", "train.micro_batch=1"]
        self.train("single", epoch + ["train.global_batch=1"])
        samples = len(self.steps("single"))
        self.assertGreater(samples, 8)
        batch = next(b for b in (4, 5, 7) if samples % b)
        for ranks in (0, 2):
            name = f"batches-{ranks}"
            self.train(name, epoch + [f"train.global_batch={batch}"], ranks=ranks)
            tokens = [m["tokens"] for m in self.steps(name)]
            self.assertEqual(tokens, [24 * batch] * (samples // batch) + [24 * (samples % batch)])

    def test_run_folder_holds_what_is_promised(self):
        self.train("run", ["train.steps=4", "train.eval_every=2"], ranks=2)
        for name in ("config.yaml", "plan.json", "metrics.jsonl", "report.json", "log/rank-0.txt", "log/rank-1.txt"):
            self.assertTrue(os.path.exists(self.path("run/" + name)), name)
        self.assertEqual(len(glob.glob(self.path("run/events.out.tfevents.*"))), 1)
        step = self.steps("run")[-1]
        for key in ("step", "loss", "lr", "grad_norm", "tokens", "seconds", "tokens_per_second", "memory",
                    "rss_peak_bytes"):
            self.assertIn(key, step)
        self.assertGreater(step["memory"]["parameters"], 0)
        with open(self.path("run/plan.json")) as f:
            plan = json.load(f)
        self.assertEqual([i["op"] for i in plan["train_step"]].count("agree"), 1)
        self.assertTrue(self.report("run")["finished"])
        self.assertEqual([m["step"] for m in self.lines("run") if "validation_loss" in m], [2, 4])


class EndTest(runs.RunTest):
    """With 100 mpirun would hold up an end by 200 s, far beyond the time that a test has here."""

    GRACE = 100

    def test_a_wrong_config_ends_all_ranks_with_its_code(self):
        for ranks in (1, 2, 4):
            done = self.train("run", config=self.path("gone.yaml"), ranks=ranks, grace=self.GRACE, timeout=60,
                              expect=runs.EXIT_USAGE)
            self.assert_one_clear_line(done, "gone.yaml")

    def test_a_failure_that_ranks_agree_on_ends_all_with_its_code(self):
        done = self.train("run", [f"data.train=[{self.path('gone.txt')}]"], ranks=2, grace=self.GRACE, timeout=60,
                          expect=runs.EXIT_FAILURE)
        self.assert_one_clear_line(done, "gone.txt")

    def check_killed(self, ranks, victim):
        process = self.start("run", ["train.steps=1000000"], ranks=ranks, grace=self.GRACE)
        self.wait_for_step("run", 3, process)
        pids = runs.ranks_of(process.pid)  # mpirun starts them in order
        self.assertEqual(len(pids), ranks)
        os.kill(pids[victim], signal.SIGKILL)
        out, err = process.communicate(timeout=60)
        self.assertNotEqual(process.returncode, 0)
        died = [line for line in err.splitlines() if line.startswith("stowage:")]
        self.assertEqual(len(died), 1, err)
        self.assertIn(f"rank {victim} (process {pids[victim]} on ", died[0])
        self.assertTrue(died[0].endswith(" has died"), died[0])
        for pid in pids:
            self.assertFalse(self.runs(pid), f"process {pid} was left")

    def runs(self, pid):
        """Not so if all that is left of it waits for its parent, or the system, to collect it."""
        try:
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False

    def test_a_killed_rank_ends_the_others_at_once_and_is_named(self):
        self.check_killed(3, 1)

    def test_a_killed_rank_0_ends_the_others_at_once_and_is_named(self):
        self.check_killed(2, 0)

    def test_sigcont_from_anybody_but_mpirun_means_nothing(self):
        process = self.start("run", ["train.steps=300"], ranks=2)
        self.wait_for_step("run", 3, process)
        for pid in runs.ranks_of(process.pid):
            os.kill(pid, signal.SIGCONT)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, runs.EXIT_OK, err)
        self.assertTrue(self.report("run")["finished"])

    def test_too_little_time_to_save_is_warned_of(self):
        for grace, warns in ((0, True), (4, True), (5, False)):  # 0: the option is not given
            done = self.train(f"run-{grace}", ["train.steps=2"], ranks=1, grace=grace)
            self.assertEqual("--mca odls_base_sigkill_timeout 10" in done.stderr, warns, done.stderr)


if __name__ == "__main__":
    unittest.main()
