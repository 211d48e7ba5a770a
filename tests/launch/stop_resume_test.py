"""Stopped anywhere and resumed, a run is the run that was never stopped: loss, norm and weights to the bit."""

import os
import random
import signal
import subprocess
import time
import unittest

import runs

STEPS = 60
SETS = [f"train.steps={STEPS}", "train.global_batch=8", "model.dropout=0.1", "train.eval_every=20",
        "checkpoint.every=25"]


class StopResumeTest(runs.RunTest):
    def assert_unbroken(self, whole, run):
        keys = ("step", "loss", "grad_norm", "lr", "tokens")
        self.assertEqual([[m[k] for k in keys] for m in self.steps(whole)],
                         [[m[k] for k in keys] for m in self.steps(run)])
        self.assertEqual([(m["step"], m["validation_loss"]) for m in self.lines(whole) if "validation_loss" in m],
                         [(m["step"], m["validation_loss"]) for m in self.lines(run) if "validation_loss" in m])
        self.assertEqual(self.weights(whole), self.weights(run))

    def stop(self, run, ranks, name, at, to_mpirun, sets):
        # Twice so long mpirun waits for ranks that have ended no sooner: longer than this test may take.
        process = self.start(run, sets, ranks=ranks, grace=100)
        self.wait_for_step(run, at, process)
        if ranks and not to_mpirun:
            pids = runs.ranks_of(process.pid)
            self.assertEqual(len(pids), ranks)
            os.kill(pids[-1], runs.SIGNALS[name])
        else:
            process.send_signal(runs.SIGNALS[name])
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def check(self, name, ranks, to_mpirun=False, more_sets=()):
        sets = [*SETS, *more_sets]
        self.train("whole", sets, ranks=ranks)
        at = random.randint(2, STEPS - 25)
        code, out, err = self.stop("broken", ranks, name, at, to_mpirun, sets)
        steps = self.steps("broken")
        self.assertLess(len(steps), STEPS, "it ran to its end before the signal came")
        stopped_at = steps[-1]["step"]
        self.assertTrue(self.checkpoints("broken")[-1].endswith(f"step-{stopped_at:08d}"), (at, stopped_at, out, err))
        self.assertFalse(os.path.exists(self.path("broken/report.json")) and self.report("broken")["finished"])
        if not to_mpirun or name == "SIGUSR1":  # which mpirun hands on, and nothing else
            self.assertEqual(code, runs.EXIT_STOPPED, (out, err))
        else:
            self.assertNotEqual(code, 0)  # mpirun has codes of its own for a job that it was told to end
            self.assertIn("stopped by mpirun, which ends the job, and saved", err)
        self.train("broken", sets, ranks=ranks, resume=True)
        self.assert_unbroken("whole", "broken")

    def test_stopped_where_an_evaluation_was_due(self):
        # At every step one is: the stop saves at once and leaves it to the run that goes on.
        self.check("SIGUSR1", 0, more_sets=["train.eval_every=1", "train.eval_sequences=8"])

    def test_stopped_where_an_evaluation_was_due_on_two_ranks(self):
        self.check("SIGUSR1", 2, more_sets=["train.eval_every=1", "train.eval_sequences=8"])

    def test_sigterm_alone(self):
        self.check("SIGTERM", 0)

    def test_sigint_alone(self):
        self.check("SIGINT", 0)

    def test_sigusr1_alone(self):
        self.check("SIGUSR1", 0)

    def test_many_signals_in_one_step_do_no_harm(self):
        # oneDNN's products keep the stack pointer in the heap: a signal there must not write its frame.
        self.train("whole", SETS)
        process = self.start("stormy", SETS)
        self.wait_for_step("stormy", 2, process)
        end = time.monotonic() + 30
        while len(self.steps("stormy")) < STEPS and process.poll() is None and time.monotonic() < end:
            process.send_signal(signal.SIGCONT)  # answered, and of nobody who ends the job: it goes on
            time.sleep(0.0001)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, (out, err))
        self.assert_unbroken("whole", "stormy")

    def test_sigterm_to_one_of_two_ranks(self):
        self.check("SIGTERM", 2)

    def test_sigusr1_to_mpirun_of_two_ranks(self):
        self.check("SIGUSR1", 2, to_mpirun=True)

    def test_sigterm_to_mpirun_of_two_ranks(self):
        self.check("SIGTERM", 2, to_mpirun=True)

    def test_sigint_to_mpirun_of_one_rank(self):
        self.check("SIGINT", 1, to_mpirun=True)

    def test_stopped_several_times(self):
        self.train("whole", SETS)
        stops, at = 0, 0
        while True:
            at += random.randint(5, 15)
            process = self.start("broken", SETS) if stops == 0 else self.start_resumed("broken")
            if at >= STEPS - 10:
                self.assertEqual(process.wait(timeout=60), 0)
                process.communicate()
                break
            self.wait_for_step("broken", at, process)
            process.send_signal(signal.SIGUSR1)
            process.communicate(timeout=60)
            self.assertEqual(process.returncode, runs.EXIT_STOPPED)
            at, stops = self.steps("broken")[-1]["step"], stops + 1
            if at >= STEPS - 10:
                self.train("broken", SETS, resume=True)
                break
        self.assertGreater(stops, 0)
        self.assert_unbroken("whole", "broken")

    def start_resumed(self, run):
        process = subprocess.Popen(self.command(self.config, run, SETS, resume=True), env=self.env,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def test_killed_without_warning_goes_on_from_its_last_checkpoint(self):
        self.train("whole", SETS)
        process = self.start("broken", SETS)
        self.wait_for_step("broken", 30, process)
        process.kill()
        process.communicate()
        done = self.train("broken", SETS, resume=True)
        self.assertIn("resumed at step 25", done.stdout)
        self.assert_unbroken("whole", "broken")

    def test_a_longer_run_may_go_on_from_a_stopped_one_and_says_what_that_means(self):
        process = self.start("run", SETS)
        self.wait_for_step("run", 10, process)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        longer = [s for s in SETS if not s.startswith("train.steps")] + [f"train.steps={STEPS + 5}"]
        done = self.train("run", longer, resume=True)
        self.assertIn(f"train.steps was {STEPS} and is {STEPS + 5} now", done.stdout)
        self.assertEqual(self.steps("run")[-1]["step"], STEPS + 5)


if __name__ == "__main__":
    unittest.main()
