"""Bad input gets one clear line, a non-zero exit within seconds, and loses nothing."""

import glob
import os
import shutil
import struct
import subprocess
import unittest

import runs


class BadConfigTest(runs.RunTest):
    def refused(self, *parts, config=None, sets=(), code=runs.EXIT_USAGE):
        done = self.train("run", sets, config=config, expect=code)
        self.assert_one_clear_line(done, *parts)
        self.assertFalse(os.path.exists(self.path("run/metrics.jsonl")))

    def test_missing_config(self):
        self.refused("no-such.yaml", config=self.path("no-such.yaml"))

    def test_unreadable_config(self):
        os.mkdir(self.path("folder.yaml"))
        self.refused("folder.yaml", config=self.path("folder.yaml"))

    def test_misspelt_key_names_place_and_nearest(self):
        self.refused("bad.yaml:2:", "model.witdh", "model.width",
                     config=self.write("bad.yaml", "model:\n  witdh: 64\n"))

    def test_a_segment_that_the_model_does_not_have_is_named_at_its_place_with_the_nearest(self):
        config = self.write("bad.yaml", "include: tiny.yaml\nmemory:\n  recompute: [layer.0.*, layer.1.atn]\n")
        message = ("bad.yaml:3:26: memory.recompute: no segment of this model is called layer.1.atn; "
                   "did you mean layer.1.attn?")
        self.refused(message, config=config, code=runs.EXIT_FAILURE)
        self.assertFalse(os.path.exists(self.path("run")))
        done = self.run_command([runs.BINARY, "plan", config])
        self.assertEqual(done.returncode, runs.EXIT_USAGE)
        self.assert_one_clear_line(done, message)

    def test_wrong_type(self):
        self.refused("bad.yaml:1:", "model.layers", config=self.write("bad.yaml", "model: {layers: many}\n"))

    def test_out_of_range(self):
        self.refused("model.layers", "-1", sets=["model.layers=-1"])

    def test_what_is_not_built_is_refused_by_name(self):
        for item, part in (("sharding.backend=nccl", "sharding.backend"), ("precision=fp16", "precision"),
                           ("memory.device=6GiB", "memory.device"),
                           ("run.device=cuda", "run.device"),
                           ("memory.offload.optimizer=host", "memory.offload.optimizer")):
            self.refused(part, sets=[item])


class BadDataTest(runs.RunTest):
    def refused(self, *parts, sets, code=runs.EXIT_FAILURE):
        done = self.train("run", sets, expect=code)
        self.assert_one_clear_line(done, *parts)

    def raw(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data)
        return self.path(name)

    def nanogpt(self, path):
        return [f"data.train=[{path}]", f"data.validation=[{path}]", "data.format=nanogpt", "model.vocabulary=256"]

    def test_missing_file(self):
        self.refused("nowhere.txt", sets=[f"data.train=[{self.path('nowhere.txt')}]"])

    def test_empty_file(self):
        self.refused("empty.bin", "empty", sets=self.nanogpt(self.raw("empty.bin", b"")))

    def test_odd_length(self):
        self.refused("odd.bin", sets=self.nanogpt(self.raw("odd.bin", b"\x01\x00" * 999 + b"\x01")))

    def test_tokens_beyond_the_vocabulary(self):
        tokens = struct.pack("<2000H", *([7] * 1999 + [300]))
        self.refused("big.bin", "300", "256", sets=self.nanogpt(self.raw("big.bin", tokens)))

    def test_llmc_file_cut_short(self):
        header = struct.pack("<256i", 20240520, 1, 5000, *([0] * 253))
        path = self.raw("cut.bin", header + struct.pack("<1000H", *([7] * 1000)))
        self.refused("cut.bin", "5000", "1000",
                     sets=[f"data.train=[{path}]", f"data.validation=[{path}]", "data.format=llmc",
                           "model.vocabulary=256"])

    def test_llmc_and_nanogpt_files_train_as_they_are(self):
        tokens = [(i * i) % 251 for i in range(5000)]
        nano = self.raw("nano.bin", struct.pack("<5000H", *tokens))
        llmc = self.raw("llmc.bin", struct.pack("<256i", 20240520, 1, 5000, *([0] * 253)) +
                        struct.pack("<5000H", *tokens))
        self.train("nano", self.nanogpt(nano) + ["train.steps=5"])
        self.train("llmc", [f"data.train=[{llmc}]", f"data.validation=[{llmc}]", "data.format=llmc",
                            "model.vocabulary=256", "train.steps=5"])
        self.assertEqual([m["loss"] for m in self.steps("nano")], [m["loss"] for m in self.steps("llmc")])


class BadCheckpointTest(runs.RunTest):
    SETS = ["train.steps=30", "checkpoint.every=10"]

    def setUp(self):
        super().setUp()
        # Stopped before its end, with checkpoints 10, 20 and the one it stopped at.
        process = self.start("run", self.SETS + ["train.global_batch=48"])
        self.wait_for_step("run", 22, process)
        process.terminate()
        process.communicate(timeout=60)
        self.assertGreaterEqual(len(self.checkpoints("run")), 3)
        self.sets = self.SETS + ["train.global_batch=48"]

    def shard(self, checkpoint):
        return glob.glob(checkpoint + "/*.safetensors")[0]

    def resume(self, sets=None, **kwargs):
        return self.train("run", sets or self.sets, resume=True, **kwargs)

    def test_a_flipped_byte_is_said_and_the_one_before_is_taken(self):
        newest = self.checkpoints("run")[-1]
        with open(self.shard(newest), "r+b") as f:
            f.seek(-100, 2)
            byte = f.read(1)[0]
            f.seek(-100, 2)
            f.write(bytes([byte ^ 0x10]))
        done = self.resume()
        self.assertIn(os.path.basename(newest), done.stdout)
        self.assertIn("resumed at step 20", done.stdout)
        self.assertEqual([m["step"] for m in self.steps("run")], list(range(1, 31)))

    def test_a_missing_shard_is_said_and_the_one_before_is_taken(self):
        newest = self.checkpoints("run")[-1]
        os.remove(self.shard(newest))
        done = self.resume()
        self.assertIn(os.path.basename(newest), done.stdout)
        self.assertIn("resumed at step 20", done.stdout)

    def test_no_whole_checkpoint_is_an_error(self):
        for checkpoint in self.checkpoints("run"):
            os.remove(self.shard(checkpoint))
        done = self.resume(expect=runs.EXIT_FAILURE)
        self.assert_one_clear_line(done, "checkpoints")

    def test_another_model_is_refused_with_both_values(self):
        done = self.resume(self.sets + ["model.width=64"], expect=runs.EXIT_FAILURE)
        self.assert_one_clear_line(done, "model.width", "32", "64")

    def test_another_world_size_is_refused_with_both_values(self):
        done = self.resume(ranks=2, expect=runs.EXIT_FAILURE)
        self.assert_one_clear_line(done, "ranks", "1", "2")

    def test_a_newer_format_is_named(self):
        import json
        for checkpoint in self.checkpoints("run"):
            path = checkpoint + "/manifest.json"
            with open(path) as f:
                manifest = json.load(f)
            manifest["format_version"] = 999
            with open(path, "w") as f:
                json.dump(manifest, f)
        done = self.resume(expect=runs.EXIT_FAILURE)
        self.assertIn("999", done.stdout + done.stderr)


class DivergenceTest(runs.RunTest):
    def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_step(self):
        for ranks in (0, 2):
            run = f"run-{ranks}"
            done = self.train(run, ["optimizer.lr=1000", "optimizer.schedule.kind=constant",
                                    "optimizer.schedule.final_lr=0", "optimizer.grad_clip=0", "checkpoint.every=1"],
                              ranks=ranks, expect=runs.EXIT_FAILURE)
            self.assert_one_clear_line(done, "not finite", "step ", "optimizer.lr")
            self.assertGreaterEqual(len(self.checkpoints(run)), 1)


class RunFolderTest(runs.RunTest):
    def test_in_use(self):
        process = self.start("run", ["train.steps=100000"])
        self.wait_for_step("run", 1, process)
        done = self.train("run", expect=runs.EXIT_FAILURE)
        self.assert_one_clear_line(done, "in use")
        done = self.train("run", resume=True, expect=runs.EXIT_FAILURE)
        self.assert_one_clear_line(done, "in use")
        process.terminate()
        process.communicate(timeout=60)

    def test_a_run_is_there(self):
        self.train("run", ["train.steps=2"])
        self.assert_one_clear_line(self.train("run", expect=runs.EXIT_FAILURE), "--run-dir")

    def test_finished(self):
        self.train("run", ["train.steps=2"])
        self.assert_one_clear_line(self.train("run", ["train.steps=2"], resume=True, expect=runs.EXIT_FAILURE),
                                   "finished")


class FullDiskTest(runs.RunTest):
    def test_training_goes_on_and_the_older_checkpoint_is_whole(self):
        # A file system of its own that fills up: one checkpoint fits, not three.
        disk = self.path("disk")
        os.mkdir(disk)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], capture_output=True)
        if mounted.returncode != 0:
            self.skipTest("cannot mount a small file system (needs root): " + mounted.stderr.decode().strip())
        self.addCleanup(lambda: subprocess.run(["umount", "-l", disk], check=True))
        process = self.start("disk/run", ["train.steps=40", "checkpoint.every=10"])
        self.wait_for_step("disk/run", 11, process)
        whole = self.checkpoints("disk/run")
        with open(disk + "/filler", "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        out, err = process.communicate(timeout=60)
        self.assertIn("not saved", out)
        self.assertEqual(process.returncode, runs.EXIT_FAILURE, (out, err))  # the last save could not be made
        self.assertIn("No space left", err)
        self.assertTrue(set(whole) <= set(self.checkpoints("disk/run")))
        os.remove(disk + "/filler")
        self.train("disk/run", ["train.steps=40", "checkpoint.every=10"], resume=True)
        self.assertTrue(self.report("disk/run")["finished"])


class RanksDifferTest(runs.RunTest):
    def two(self, first, second, timeout=60):
        line = runs.mpirun(1) + first + [":", "-n", "1"] + second
        return self.run_command(line, timeout)

    def test_different_configs_are_named(self):
        a = self.command(self.config, "run")
        b = self.command(self.config, "run", ["optimizer.lr=0.5"])
        done = self.two(a, b)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("optimizer.lr", done.stderr)
        self.assertIn("0.5", done.stderr)
        self.assertFalse(os.path.exists(self.path("run/metrics.jsonl")))

    def test_a_rank_that_fails_on_start_ends_all_in_seconds(self):
        done = self.two(self.command(self.config, "run"), self.command(self.path("gone.yaml"), "run"), timeout=30)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("gone.yaml", done.stderr)

    def test_a_killed_rank_ends_all(self):
        process = self.start("run", ["train.steps=100000"], ranks=2)
        self.wait_for_step("run", 3, process)
        os.kill(runs.ranks_of(process.pid)[0], 9)
        process.communicate(timeout=30)
        self.assertNotEqual(process.returncode, 0)


if __name__ == "__main__":
    unittest.main()
