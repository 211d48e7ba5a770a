"""What the rehearsal before a run says of its tensors is what the run then holds, to the byte."""

import csv
import json
import os
import re
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "launch"))
import runs  # noqa: E402

EXIT_DOES_NOT_FIT = 3

# One small experiment of each kind, and of what changes what is held. Each key of a case is set on top of its base.
TEXT = """
run: {name: small, seed: 3, threads: 2}
model: {kind: gpt2, layers: 2, width: 64, heads: 4, context: 48}
data: {train: [%(train)s], validation: [%(validation)s], format: text, tokenizer: bytes}
train: {steps: 3, global_batch: 12, micro_batch: 4, eval_every: 2}
"""
RECURRENT = TEXT.replace("kind: gpt2", "kind: rnn").replace("heads: 4, ", "")
IMAGES = """
run: {name: small, seed: 3, threads: 2}
model: {kind: cnn, width: 16, layers: 2}
data: {source: fashion-mnist}
train: {steps: 3, global_batch: 96, micro_batch: 32, eval_every: 2, eval_sequences: 100}
"""

TEXT_CASES = {
    "gpt2": [],
    "gpt2 bf16": ["precision=bf16"],
    "gpt2, one micro-batch": ["train.micro_batch=12"],
    "gpt2, many micro-batches": ["train.global_batch=11", "train.micro_batch=1"],
    "gpt2, dropout and no biases": ["model.dropout=0.2", "model.bias=false"],
    "gpt2, free head": ["model.tie=false"],
    "gpt2, fused attention": ["model.attention=fused"],
    "gpt2, gradients kept": ["train.zero_grad=fill"],
    "gpt2, sgd": ["optimizer.kind=sgd"],
    "gpt2, some segments in fp32": ["precision=bf16", "fp32_segments=[layer.0.*]"],
    "llama": ["model.kind=llama", "model.kv_heads=2"],
    "llama bf16": ["model.kind=llama", "model.kv_heads=2", "precision=bf16", "model.context=33"],
}
POLICIES = ("every", "layer", "{every: 2}", "sqrt", "sqrt2", "attention", "ffn", "[layer.0.*]")
for policy in POLICIES:
    TEXT_CASES[f"gpt2, recompute {policy}"] = [f"memory.recompute={policy}", "model.layers=4", "model.dropout=0.1"]
    TEXT_CASES[f"llama bf16, recompute {policy}"] = [
        f"memory.recompute={policy}", "model.layers=3", "model.kind=llama", "model.kv_heads=2", "precision=bf16"]
RECURRENT_CASES = {
    "gru, recompute every": ["model.cell=gru", "memory.recompute=every"],
    "lstm, recompute sqrt": ["model.cell=lstm", "model.layers=3", "memory.recompute=sqrt"],
    "gru": ["model.cell=gru"],
    "lstm bf16": ["model.cell=lstm", "precision=bf16"],
}
IMAGE_CASES = {
    # With buffers of modules, which a recompute puts back.
    "cnn, recompute every": ["memory.recompute=every"],
    "cnn bf16, recompute {every: 2}": ["memory.recompute={every: 2}", "precision=bf16"],
    "mlp, recompute sqrt": ["model.kind=mlp", "memory.recompute=sqrt", "model.layers=4"],
    "cnn": [],
    "cnn bf16": ["precision=bf16"],
    "mlp": ["model.kind=mlp", "train.micro_batch=96"],
    "mlp bf16": ["model.kind=mlp", "precision=bf16"],
    "lstm over rows": ["model.kind=rnn", "model.cell=lstm", "data.view=[28, 28]"],
}


def with_checksum(machine):
    """A file of calibration as it is written: CRC-32C of the rest, without spaces and with sorted keys."""
    machine = {key: value for key, value in machine.items() if key != "crc32c"}
    crc = 0xffffffff
    for byte in json.dumps(machine, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode():
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return json.dumps(dict(machine, crc32c=f"{crc ^ 0xffffffff:08x}"))


def words_of(refused):
    """The line that refuses, without sizes: what opening the data leaves on the heap is measured each time."""
    return re.sub(r"[0-9.]+ ([KMG]iB|B)\b", "so much", refused.stderr.splitlines()[-1])


def compared(report, phases=("init", "train", "eval", "save")):
    """Peaks by phase and category: as predicted, as measured."""
    found = []
    for side in ("predicted", "measured"):
        peaks = report[side]["phase_peak_bytes"]
        found.append({p: {c: b for c, b in peaks[p].items() if b} for p in phases if p in peaks})
    return found


class PredictionTest(runs.RunTest):
    def setUp(self):
        super().setUp()
        paths = {"train": self.path("train.txt"), "validation": self.path("validation.txt")}
        self.text = self.write("text.yaml", TEXT % paths)
        self.recurrent = self.write("recurrent.yaml", RECURRENT % paths)
        self.images = self.write("images.yaml", IMAGES)

    def check(self, name, config, sets, ranks=0, phases=("init", "train", "eval", "save")):
        run = "".join(c if c.isalnum() else "_" for c in name)
        done = self.train(run, sets, ranks=ranks, config=config)
        self.assertNotIn("no plan of this run", done.stderr)
        report = self.report(run)
        predicted, measured = compared(report, phases)
        self.assertEqual(set(measured), set(phases))
        self.assertEqual(predicted, measured, name)
        return report

    def test_every_kind_of_text_model_to_the_byte(self):
        for name, sets in TEXT_CASES.items():
            with self.subTest(name):
                self.check(name, self.text, sets)

    def test_recurrent_text_models_to_the_byte(self):
        for name, sets in RECURRENT_CASES.items():
            with self.subTest(name):
                self.check(name, self.recurrent, sets)

    def test_every_kind_of_image_model_to_the_byte(self):
        for name, sets in IMAGE_CASES.items():
            with self.subTest(name):
                self.check(name, self.images, sets)

    def test_ranks_and_batches_that_do_not_divide_to_the_byte(self):
        for ranks in (2, 3):
            with self.subTest(ranks):
                self.check(f"{ranks} ranks", self.text, ["train.global_batch=13", "run.threads=1"], ranks=ranks)

    def test_every_zero_stage_on_every_number_of_ranks_to_the_byte(self):
        for ranks in (1, 2, 3):
            for zero in (1, 2, 3):
                for more in ([], ["precision=bf16", "train.reduce_per=update"], ["model.tie=false", "train.zero_grad=fill"]):
                    with self.subTest(ranks=ranks, zero=zero, more=more):
                        self.check(f"zero {zero} on {ranks} {more}",
                                   self.text, [f"sharding.zero={zero}", "train.global_batch=13", "run.threads=1", *more],
                                   ranks=ranks)

    def test_a_resumed_run_loads_what_was_predicted(self):
        process = self.start("stopped", ["train.steps=500"])
        self.wait_for_step("stopped", 2, process)
        process.send_signal(runs.SIGNALS["SIGTERM"])
        self.assertEqual(process.wait(timeout=60), runs.EXIT_STOPPED)
        done = len(self.steps("stopped"))
        self.train("stopped", [f"train.steps={done + 3}"], resume=True)
        predicted, measured = compared(self.report("stopped"), ("load", "train", "save"))
        self.assertEqual(predicted, measured)

    def plan(self, *options, config=None, expect=0):
        line = [runs.BINARY, "plan", config or self.text, *options]
        done = self.run_command(line)
        self.assertEqual(done.returncode, expect, f"stdout:\n{done.stdout}\nstderr:\n{done.stderr}")
        return done

    def test_plan_says_the_same_as_the_run(self):
        self.check("run", self.text, [])
        plan = json.loads(self.plan("--json").stdout)
        measured = self.report("run")["measured"]["phase_peak_bytes"]
        self.assertEqual(plan["tensors_peak_bytes"], measured["all"]["total"])
        self.assertTrue(plan["fits"])

    def test_a_plan_that_does_not_fit_names_what_helps_and_that_holds(self):
        # Large enough for activations to weigh something.
        size = ["model.width=128", "model.layers=4", "model.context=128", "train.global_batch=16"]
        need = {}
        for micro in (4, 16):
            sets = [*size, f"train.micro_batch={micro}", "memory.host=1GiB"]
            plan = self.plan("--json", *(word for item in sets for word in ("--set", item)))
            need[micro] = json.loads(plan.stdout)["budgets"][0]["need_bytes"]
        self.assertLess(need[4], need[16])
        sets = [*size, "train.micro_batch=16", f"memory.host={(need[4] + need[16]) // 2}"]
        refused = self.plan("--json", *(word for item in sets for word in ("--set", item)), expect=EXIT_DOES_NOT_FIT)
        plan = json.loads(refused.stdout)
        self.assertFalse(plan["fits"])
        self.assertIn("does not fit", refused.stderr)
        # Where it would first be too much.
        self.assertRegex(plan["budgets"][0]["first_over"], r"train step, instruction [0-9]+ \(.+\): holds [0-9]+ bytes")
        hint = plan["hints"][0]
        self.assertTrue(hint["fits"], plan["hints"])
        # train refuses in the same words, before anything is made.
        again = self.train("refused", sets, config=self.text, expect=EXIT_DOES_NOT_FIT)
        self.assertEqual(words_of(again), words_of(refused))
        self.assertFalse(os.path.exists(self.path("refused")))
        # The first hint, followed.
        helped = self.plan("--json", *(word for item in [*sets, f"{hint['key']}={hint['to']}"] for word in ("--set", item)))
        # But for what opening the data leaves on the heap, which is measured each time.
        self.assertAlmostEqual(json.loads(helped.stdout)["budgets"][0]["need_bytes"],
                               plan["budgets"][0]["need_bytes"] - hint["saves_bytes"], delta=2**18)
        self.train("helped", [*sets, f"{hint['key']}={hint['to']}"], config=self.text)
        limit = plan["budgets"][0]["limit_bytes"]
        self.assertLessEqual(self.report("helped")["measured"]["rss_peak_bytes"], limit)

    def test_what_no_change_makes_fit_is_refused_and_that_is_said(self):
        # As small as it can be already, and fixed so: libraries alone are more than the bound.
        sets = ["train.micro_batch=1", "train.global_batch=1", "precision=bf16", "optimizer.kind=sgd",
                "memory.host=32MiB"]
        done = self.plan("--json", *(word for item in sets for word in ("--set", item)), expect=EXIT_DOES_NOT_FIT)
        plan = json.loads(done.stdout)
        self.assertFalse(plan["fits"])
        self.assertEqual([hint for hint in plan["hints"] if hint["fits"]], [])
        self.assert_one_clear_line(done, "memory.host: 32MiB: does not fit", "short by",
                                   "no change of one key alone makes it fit")
        again = self.train("fixed", sets, config=self.text, expect=EXIT_DOES_NOT_FIT)
        self.assertEqual(words_of(again), words_of(done))
        self.assertFalse(os.path.exists(self.path("fixed")))

    def test_what_was_not_measured_is_listed_as_assumed(self):
        # Queries, keys and values of 128 MiB each.
        sets = ["model.attention=fused", "model.width=1024", "model.context=1024", "train.micro_batch=32",
                "train.global_batch=32"]
        sets = [word for item in sets for word in ("--set", item)]
        large = json.loads(self.plan("--json", *sets).stdout)
        found = {a["operator"]: a["argument_bytes"] for a in large["assumed"]}
        name = "aten::_scaled_dot_product_flash_attention_for_cpu"
        self.assertEqual(found[name], 3 * 128 * 2**20)
        self.assertGreater(min(found.values()), 256 * 2**20)
        said = self.plan(*sets).stdout
        self.assertIn("Assumed, not measured", said)
        self.assertIn(f"  {name}, on up to 384 MiB", said)
        self.assertEqual(json.loads(self.plan("--json").stdout)["assumed"], [])
        self.assertNotIn("Assumed", self.plan().stdout)

    def test_the_schedules_that_will_run_are_proved_sound(self):
        sets = ["--set", "train.global_batch=11", "--set", "train.micro_batch=1"]
        plan = json.loads(self.plan("--json", *sets).stdout)
        found = {s["name"]: s["micro_batches"] for s in plan["verified_schedules"]}
        self.assertEqual(found["train step"], 11)  # all of them, though three are rehearsed
        self.assertEqual(len(found), 2)
        self.assertIn("Schedules proved sound: train step (11 micro-batches, ", self.plan(*sets).stdout)

    def test_the_profile_of_a_step_is_what_the_trace_of_one_measures(self):
        # A step of 1,000 samples through layers of 1,000.
        sets = ["model.kind=mlp", "model.width=1000", "train.micro_batch=1000", "train.global_batch=1000",
                "train.steps=2", "train.eval_every=2"]
        words = [word for item in sets for word in ("--set", item)]
        done = self.plan("--json", *words, config=self.images)
        played = json.loads(done.stdout)["instructions"]
        first = next(i for i, row in enumerate(played) if row["phase"] == "step")
        start = played[first - 1]["total_live_bytes"]
        step = [row for row in played if row["phase"] == "step"]
        self.train("traced", [*sets, "memory.trace=2"], config=self.images)
        with open(self.path("traced/memory.csv")) as f:
            trace = list(csv.DictReader(f))
        rows = [row for row in trace if row["step"] == "2"]
        before = [row for row in trace if row["step"] == "1" and row["name"] == "step"]
        whole = [row for row in rows if row["name"] == "step"]
        parts = [row for row in rows if row["name"] != "step"]
        self.assertEqual([row["name"] for row in parts], [row["label"] for row in step])
        self.assertEqual([int(row["host_peak_bytes_total"]) for row in parts], [row["total_peak_bytes"] for row in step])
        rise = max(row["total_peak_bytes"] for row in step) - start
        measured = int(whole[0]["host_peak_bytes_total"]) - int(before[0]["host_live_bytes_total"])
        self.assertLess(abs(rise / measured - 1), 0.01)
        self.assertTrue(all(float(row["duration_us"]) >= 0 for row in parts))
        profile = self.plan("--profile", *words, config=self.images).stdout
        self.assertIn(f"memory profile of a step: start {start / 1e6:.1f} MB", profile)
        self.assertIn(f"rise {rise / 1e6:.1f} MB; highest {min(20, len(step))} instructions", profile)
        self.assertIn("recompute none: no segment is run again", profile)

    def test_a_file_of_calibration_of_another_machine_is_an_estimate_and_a_damaged_one_is_refused(self):
        shipped = json.loads(open("trainer/calibration/machines/amd_epyc_zen5.json").read())
        shipped["machine"]["cores"] += 1000
        other = self.write("other.json", with_checksum(shipped))
        plan = json.loads(self.plan("--json", "--machine", other).stdout)
        self.assertIn("is of another machine", plan["machine_remark"])
        self.assertIn("cores", plan["machine_remark"])
        self.assertEqual({o["source"] for o in plan["outside"]}, {"estimated", "rehearsed"})
        self.assertIn("is of another machine", self.plan("--machine", other).stdout)
        text = open(other).read()
        damaged = {
            "cut.json": text[:len(text) // 2],
            "altered.json": text.replace('"libraries": ', '"libraries": 1'),
            "empty.json": "",
            "list.json": "[]",
        }
        for name, words in damaged.items():
            with self.subTest(name):
                path = self.write(name, words)
                done = self.plan("--machine", path, expect=runs.EXIT_FAILURE)
                self.assertEqual(done.stdout, "")
                self.assert_one_clear_line(done, path, "stowage calibrate")
        done = self.plan("--machine", self.path("none.json"), expect=runs.EXIT_FAILURE)
        self.assert_one_clear_line(done, "none.json")

    def test_ranks_that_cannot_be(self):
        for ranks in ("0", "-1", "1000001", "99999999999999999999", "two"):
            with self.subTest(ranks):
                done = self.plan("--ranks", ranks, expect=runs.EXIT_USAGE)
                self.assertIn("--ranks", done.stderr)

    def test_a_thousand_ranks(self):
        alone = json.loads(self.plan("--json").stdout)
        many = json.loads(self.plan("--json", "--ranks", "1024", "--set", "train.global_batch=12288").stdout)
        self.assertEqual(many["world_size"], 1024)
        self.assertEqual(many["micro_batches_per_rank"], alone["micro_batches_per_rank"])
        # Replicated: a rank of a thousand holds what one alone does, gradients from the start, and padding.
        self.assertGreaterEqual(many["tensors_peak_bytes"], alone["tensors_peak_bytes"])


if __name__ == "__main__":
    unittest.main()
