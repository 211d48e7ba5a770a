"""Starts the program as people do, alone and under mpirun, and reads what its run folders hold.

Needs STOWAGE_BINARY: the program under test.
"""

import glob
import json
import os
import signal
import struct
import subprocess
import tempfile
import time
import unittest

BINARY = os.environ.get("STOWAGE_BINARY", "")

EXIT_OK, EXIT_FAILURE, EXIT_USAGE, EXIT_STOPPED = 0, 1, 2, 75

# A GPT small enough that a step takes some milliseconds on one core.
TINY = """
run: {name: tiny, seed: 5, threads: 1}
model: {kind: gpt2, layers: 2, width: 32, heads: 4, context: 24}
data: {train: [%(train)s], validation: [%(validation)s], format: text, tokenizer: bytes}
train: {steps: 100, global_batch: 12, micro_batch: 2}
optimizer: {kind: adamw, lr: 3e-3, betas: [0.9, 0.95], weight_decay: 0.1, grad_clip: 1.0,
            schedule: {kind: cosine, warmup_steps: 10, final_lr: 3e-4}}
"""


def text_of(kilobytes, seed=1):
    """Words that repeat enough to be learned; the same for the same seed."""
    words = "the quick brown fox jumps over a lazy dog and then it rains on every little hill of stone".split()
    state, out, size = seed, [], 0
    while size < kilobytes * 1024:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        word = words[(state >> 33) % len(words)]
        out.append(word)
        size += len(word) + 1
    return " ".join(out) + "\n"


def mpirun(ranks, *, grace=10):
    """The launcher's words: as root and with more ranks than cores too, so that tests run anywhere."""
    line = ["mpirun", "-n", str(ranks), "--oversubscribe"]
    if os.geteuid() == 0:
        line.append("--allow-run-as-root")
    if grace:
        line += ["--mca", "odls_base_sigkill_timeout", str(grace)]
    return line


def ranks_of(parent):
    """Process ids of the program's ranks under `parent` (mpirun)."""
    found = []
    for path in glob.glob("/proc/[0-9]*/stat"):
        try:
            with open(path) as f:
                fields = f.read().rsplit(")", 1)[1].split()
            pid = int(path.split("/")[2])
            if int(fields[1]) == parent and os.path.realpath(f"/proc/{pid}/exe") == os.path.realpath(BINARY):
                found.append(pid)
        except OSError:
            pass
    return sorted(found)


class RunTest(unittest.TestCase):
    """A folder of its own for each test, with a text to train on and a cache for what is prepared from it."""

    options = ()  # of `train`, for every run of a class of tests

    def setUp(self):
        self.assertTrue(os.path.exists(BINARY), "STOWAGE_BINARY does not name the program")
        keep = tempfile.TemporaryDirectory(prefix="stowage-launch-")
        self.addCleanup(keep.cleanup)
        self.dir = keep.name
        self.env = dict(os.environ, XDG_CACHE_HOME=self.path("cache"))
        self.write("train.txt", text_of(200))
        self.write("validation.txt", text_of(8, seed=9))
        self.config = self.write("tiny.yaml", TINY % {"train": self.path("train.txt"),
                                                      "validation": self.path("validation.txt")})

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)
        return self.path(name)

    def command(self, config, run, sets=(), ranks=0, resume=False, **mpi):
        line = mpirun(ranks, **mpi) if ranks else []
        line += [BINARY, "train", config, "--run-dir", self.path(run), *self.options]
        for item in sets:
            line += ["--set", item]
        return line + (["--resume"] if resume else [])

    def run_command(self, line, timeout=120, **kwargs):
        return subprocess.run(line, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=timeout, **kwargs)

    def train(self, run, sets=(), ranks=0, resume=False, config=None, expect=EXIT_OK, timeout=120, **mpi):
        done = self.run_command(self.command(config or self.config, run, sets, ranks, resume, **mpi), timeout)
        self.assertEqual(done.returncode, expect, f"stdout:\n{done.stdout}\nstderr:\n{done.stderr}")
        return done

    def start(self, run, sets=(), ranks=0, **mpi):
        process = subprocess.Popen(self.command(self.config, run, sets, ranks, **mpi), env=self.env,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        return process

    def wait_for_step(self, run, step, process, seconds=60):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if any(m["step"] >= step for m in self.steps(run)):
                return
            if process.poll() is not None:
                self.fail(f"ended before step {step}: {process.communicate()}")
            time.sleep(0.002)
        self.fail(f"step {step} did not come within {seconds} s")

    def lines(self, run):
        path = self.path(run + "/metrics.jsonl")
        if not os.path.exists(path):
            return []
        out = []
        with open(path) as f:
            for line in f:
                if line.endswith("\n"):
                    out.append(json.loads(line))
        return out

    def steps(self, run):
        return [m for m in self.lines(run) if "loss" in m]

    def report(self, run):
        with open(self.path(run + "/report.json")) as f:
            return json.load(f)

    def checkpoints(self, run):
        return sorted(glob.glob(self.path(run + "/checkpoints/step-*")))

    def weights(self, run):
        """Every tensor of the newest checkpoint, as bytes by name."""
        tensors = {}
        for path in glob.glob(self.checkpoints(run)[-1] + "/*.safetensors"):
            with open(path, "rb") as f:
                (length,) = struct.unpack("<Q", f.read(8))
                header = json.loads(f.read(length))
                data = f.read()
            for name, tensor in header.items():
                if name != "__metadata__":
                    begin, end = tensor["data_offsets"]
                    tensors[name] = data[begin:end]
        return tensors

    def assert_one_clear_line(self, done, *parts):
        """The error is one line of ours on stderr that holds all parts."""
        ours = [line for line in done.stderr.splitlines() if line.startswith("stowage:")]
        self.assertEqual(len(ours), 1, f"not one line: {done.stderr}\n{done.stdout}")
        for part in parts:
            self.assertIn(part, ours[0])


SIGNALS = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT, "SIGUSR1": signal.SIGUSR1}
