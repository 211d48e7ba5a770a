"""sharding.zero under mpirun: every stage is the same run, to the bit, saved by all ranks and read by one."""

import os
import unittest

import runs

SETS = ["train.steps=8", "train.global_batch=10", "model.dropout=0.1", "train.eval_every=4", "train.eval_sequences=8",
        "train.reduce_per=micro"]


class ZeroTest(runs.RunTest):
    def assembled(self, run):
        """The tensors of the newest checkpoint, put together from the pieces that ranks wrote."""
        pieces = {}
        for name, data in self.weights(run).items():
            tensor, _, first = name.partition("@")
            pieces.setdefault(tensor, []).append((int(first or 0), data))
        return {tensor: b"".join(data for _, data in sorted(parts)) for tensor, parts in pieces.items()}

    def results(self, run):
        keys = ("step", "loss", "grad_norm", "tokens")
        return ([[m[k] for k in keys] for m in self.steps(run)],
                [(m["step"], m["validation_loss"]) for m in self.lines(run) if "validation_loss" in m])

    def test_every_stage_gives_the_same_bits(self):
        for ranks in (2, 3):
            for precision in ("fp32", "bf16"):
                for zero in (0, 1, 2, 3):
                    with self.subTest(ranks=ranks, precision=precision, zero=zero):
                        sets = [*SETS, f"precision={precision}", f"sharding.zero={zero}"]
                        run, first = (f"{precision}-{ranks}-{z}" for z in (zero, 0))
                        self.train(run, sets, ranks=ranks)
                        self.assertEqual(self.results(run), self.results(first))
                        self.assertEqual(self.assembled(run), self.assembled(first))

    def test_auto_reduces_by_micro_batch_from_stage_2_on(self):
        for zero, word in ((1, "update"), (2, "micro")):
            self.train(f"zero-{zero}", ["train.steps=1", f"sharding.zero={zero}"], ranks=2)
            with open(self.path(f"zero-{zero}/config.yaml")) as f:
                self.assertIn(f"reduce_per: {word}", f.read())

    def stopped(self, run, sets):
        process = self.start(run, sets, ranks=2)
        self.wait_for_step(run, 3, process)
        process.send_signal(runs.SIGNALS["SIGUSR1"])  # which mpirun hands on
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, runs.EXIT_STOPPED, (out, err))

    def test_a_stopped_sharded_run_goes_on_with_the_same_bits_at_any_stage(self):
        sets = [*SETS, "train.steps=60", "sharding.zero=3"]
        self.train("whole", sets, ranks=2)
        for zero in (3, 1, 0):
            with self.subTest(zero):
                run = f"broken-{zero}"
                self.stopped(run, sets)
                self.train(run, [*sets, f"sharding.zero={zero}"], ranks=2, resume=True)
                self.assertEqual(self.results(run), self.results("whole"))
                self.assertEqual(self.assembled(run), self.assembled("whole"))

    def test_another_number_of_ranks_is_refused(self):
        sets = [*SETS, "train.steps=500", "sharding.zero=3"]
        self.stopped("run", sets)
        done = self.train("run", sets, ranks=3, resume=True, expect=runs.EXIT_FAILURE)
        self.assertIn("ranks: 2 in the checkpoint, 3 now", done.stderr)

    def test_one_process_evaluates_samples_and_exports_what_several_ranks_wrote(self):
        self.train("run", [*SETS, "sharding.zero=3"], ranks=3)
        self.train("same", SETS, ranks=3)
        for command in (["eval"], ["sample", "--tokens", "20"]):
            with self.subTest(command[0]):
                said = []
                for run in ("run", "same"):
                    done = self.run_command([runs.BINARY, *command, self.path(run)])
                    self.assertEqual(done.returncode, 0, done.stderr)
                    said.append([line for line in done.stdout.replace(self.path(run), "").splitlines()
                                 if " s" not in line])
                self.assertEqual(said[0], said[1])
        for run in ("run", "same"):
            done = self.run_command([runs.BINARY, "export", self.path(run), "--to", self.path(run + "-hf")])
            self.assertEqual(done.returncode, 0, done.stderr)
        files = []
        for run in ("run", "same"):
            with open(self.path(f"{run}-hf/model.safetensors"), "rb") as f:
                files.append(f.read())
        self.assertEqual(files[0], files[1])

    def test_a_step_shows_the_gathers_and_holds_less(self):
        peaks = {}
        for zero in (0, 1, 2, 3):
            self.train(f"zero-{zero}", ["train.steps=3", "model.width=64", "model.layers=4", f"sharding.zero={zero}"],
                       ranks=3)
            peaks[zero] = self.steps(f"zero-{zero}")[-1]["memory"]
        peak = {z: {c: v["peak"] if isinstance(v, dict) else v for c, v in m.items()} for z, m in peaks.items()}
        name = next(k for k in peak[0] if "optimizer" in k)
        gradients, parameters = name.replace("optimizer", "gradients"), name.replace("optimizer", "parameters")
        self.assertLess(peak[1][name], 0.4 * peak[0][name])
        self.assertLess(peak[2][gradients], peak[1][gradients])
        self.assertLess(peak[3][parameters], peak[2][parameters])
        with open(self.path("zero-3/plan.json")) as f:
            plan = f.read()
        self.assertIn("gather", plan)


if __name__ == "__main__":
    unittest.main()
