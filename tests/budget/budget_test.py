"""memory.host on real runs: too little ends in the typed error before the bytes are taken, enough changes no bit."""

import os

import yaml

from budget_runs import MIB, BudgetRun, runs


class HostBudgetTest(BudgetRun):
    def check(self, ranks):
        free = self.free_peak(ranks)
        budget = free * 60 // 100 // MIB * MIB
        code, text, peak = self.measured("less", [f"memory.host={budget // MIB}MiB"], ranks)
        self.assert_refused(code, text, f"{budget // MIB}MiB")
        self.assertLessEqual(peak, budget)
        self.assertEqual(self.steps("less"), [])

        # What is kept free for growth (8 MiB and 1/64), as much again for what differs between two runs.
        budget = (free + 2 * (8 * MIB + free // 64)) // MIB * MIB
        code, text, peak = self.measured("enough", [f"memory.host={budget // MIB}MiB"], ranks)
        self.assertEqual(code, runs.EXIT_OK, text)
        self.assertLessEqual(peak, budget)
        self.assertEqual(self.losses("enough"), self.losses("free"))
        self.assertEqual(self.weights("enough"), self.weights("free"))

    def test_one_rank(self):
        self.check(ranks=0)

    def test_two_ranks(self):
        self.check(ranks=2)

    def test_where_the_micro_batch_is_free_less_is_made_do_with(self):
        free = ["train.micro_batch=auto"]
        code, text, peak = self.measured("auto", free)
        self.assertEqual(code, runs.EXIT_OK, text)
        self.assertEqual(self.report("auto")["micro_batch"], 16)
        budget = peak * 88 // 100 // MIB * MIB  # more than half of the peak is the libraries, whatever the micro-batch
        for ranks in (0, 2):
            run = f"short-{ranks}"
            code, text, peak = self.measured(run, [*free, f"memory.host={budget // MIB}MiB"], ranks)
            self.assertEqual(code, runs.EXIT_OK, text)
            self.assertLessEqual(peak, budget)
            self.assertIn("step 1 is made again with micro-batches of 8 instead of 16: rank 0: ", text)
            report = self.report(run)
            self.assertGreaterEqual(report["voided_steps"], 1)
            self.assertLess(report["micro_batch"], 16)
            self.assertEqual([step.get("voided", 0) for step in self.steps(run)][1:], [0])
            code, text, _ = self.measured(run + "-fixed", [f"train.micro_batch={report['micro_batch']}"], ranks)
            self.assertEqual(code, runs.EXIT_OK, text)
            self.assertEqual(self.losses(run), self.losses(run + "-fixed"))
            self.assertEqual(self.weights(run), self.weights(run + "-fixed"))

    def test_weights_that_do_not_fit_are_refused_before_the_first_step(self):
        code, text, peak = self.measured("wide", ["memory.host=300MiB", "model.width=2048", "model.layers=4"])
        self.assert_refused(code, text, "300MiB")
        self.assertLessEqual(peak, 300 * MIB)

    def test_less_than_the_program_itself_is_refused_at_once(self):
        for ranks in (0, 2):
            done = self.train("none", ["memory.host=16MiB"], ranks=ranks, expect=runs.EXIT_FAILURE)
            self.assert_one_clear_line(done, "memory.host: 16MiB is less than the process holds before it begins")

    def test_more_than_the_machine_has_is_warned_of_with_the_number(self):
        done = self.train("much", ["memory.host=4PiB"])
        self.assertIn("warning: memory.host: 4PiB is more than this rank may use", done.stdout)

    def test_the_resolved_bound_stands_in_the_run_folder(self):
        self.train("share", ["memory.host=50%"])
        with open(self.path("share/config.yaml")) as f:
            text = f.read()
        self.assertIn("host: 50%", text)
        self.assertRegex(text, r"# Here: memory.host: 50% \([0-9.]+ .iB a rank, of ")
        with open(self.path("share/log/rank-0.txt")) as f:
            self.assertIn("memory.host: 50% (", f.read())

    def test_the_guide_preset_bounds_and_gives_way(self):
        guide = os.path.abspath("configs/presets/guide.yaml")
        config = self.write("guided.yaml", f"include: {guide}\ndata: {{source: kjv}}\ntrain: {{steps: 1}}\n")
        for sets, host in (([], "8GiB"), (["--set", "memory.host=50%"], "50%")):
            done = self.run_command([runs.BINARY, "config", config, "--resolved", *sets])
            self.assertEqual(done.returncode, runs.EXIT_OK, done.stderr)
            memory = yaml.safe_load(done.stdout)["memory"]
            self.assertEqual([memory["host"], memory["warning_threshold"], memory["critical_threshold"]],
                             [host, 0.75, 0.9])

    def test_thresholds_are_said_once(self):
        free = self.free_peak()
        done = self.train("near", [f"memory.host={free * 2}", "memory.warning_threshold=0.3", "train.steps=3"])
        self.assertEqual(done.stdout.count("memory warning: the peak is at "), 1, done.stdout)
        done = self.train("never", [f"memory.host={free * 2}", "memory.warning_threshold=1",
                                    "memory.critical_threshold=1"])
        self.assertNotIn("memory warning", done.stdout)
        done = self.train("high", [f"memory.host={free * 2}", "memory.warning_threshold=0.2",
                                   "memory.critical_threshold=0.3"])
        self.assertEqual(done.stdout.count("memory critical: the peak is at "), 1, done.stdout)
