"""stowage doctor, as people start it: alone, under mpirun, and inside limits."""

import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "launch"))
import runs  # noqa: E402

MIB = 2**20


class DoctorTest(unittest.TestCase):
    def doctor(self, *words, ranks=0, before="", **variables):
        line = (runs.mpirun(ranks) if ranks else []) + [runs.BINARY, "doctor", *words]
        if before:
            line = ["bash", "-c", before + ' && exec "$@"', "bash", *line]
        done = subprocess.run(line, env=dict(os.environ, **variables), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=120)
        self.assertEqual(done.returncode, runs.EXIT_OK, done.stderr)
        return done.stdout

    def host(self, **kwargs):
        hosts = json.loads(self.doctor("--json", **kwargs))["hosts"]
        self.assertEqual(len(hosts), 1)
        return hosts[0]

    def test_says_each_thing_once_and_by_one_rank(self):
        for ranks in (0, 2):
            text = self.doctor(ranks=ranks)
            for name in ("host ", "memory ", "this rank may use ", "cores ", "NUMA nodes ", "huge pages ", "disks ",
                         "limits ", "GPUs ", "MPI ", "NCCL ", "LibTorch "):
                self.assertEqual(sum(line.startswith(name) for line in text.splitlines()), 1, f"{name}: {text}")
            self.assertEqual(text.count("Nothing to change.") + text.count("What to change:"), 1, text)

    def test_a_batch_systems_allotment_is_divided_by_the_ranks(self):
        self.assertEqual(self.host(SLURM_MEM_PER_NODE="1000")["memory"]["rank_bytes"], 1000 * MIB)
        two = self.host(ranks=2, SLURM_MEM_PER_NODE="1000")
        self.assertEqual(two["local_size"], 2)
        self.assertEqual(two["memory"]["rank_bytes"], 500 * MIB)
        self.assertIn("SLURM_MEM_PER_NODE", two["memory"]["rank_source"])

    def test_a_limit_of_the_shell_is_found_and_advised_on(self):
        memory = self.host(before=f"ulimit -v {16 * 1024 * 1024}")
        self.assertIn({"bytes": 16 * 1024 * MIB, "source": "ulimit -v (RLIMIT_AS)", "per_process": True,
                       "enforced": True}, memory["memory"]["bounds"])
        self.assertTrue(any("ulimit -v" in line for line in memory["advice"]), memory["advice"])
