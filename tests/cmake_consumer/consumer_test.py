"""An installed Stowage serves a CMake project that knows nothing of the repository."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "launch"))
import runs  # noqa: E402

# The script copies headers of the whole clone: it runs where it lies, which this link leads to.
INSTALL = os.path.realpath("tools/install")
PROJECT = os.path.dirname(os.path.realpath("tests/cmake_consumer/CMakeLists.txt"))


class ConsumerTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        keep = tempfile.TemporaryDirectory(prefix="stowage-consumer-")
        cls.addClassCleanup(keep.cleanup)
        cls.dir = keep.name
        built = os.path.join(cls.dir, "built")
        os.mkdir(built)
        os.symlink(os.path.realpath("include/libstowage.so"), built + "/libstowage.so")
        os.symlink(os.path.realpath(runs.BINARY), built + "/stowage")
        cls.prefix = os.path.join(cls.dir, "prefix")
        cls.check([INSTALL, cls.prefix, "--built", built])
        cls.project = shutil.copytree(PROJECT, os.path.join(cls.dir, "project"))

    @staticmethod
    def ran(line, **kwargs):
        env = {k: v for k, v in os.environ.items() if k not in ("STOWAGE_LIBTORCH", "LD_LIBRARY_PATH")}
        return subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, **kwargs)

    @classmethod
    def check(cls, line, **kwargs):
        done = cls.ran(line, **kwargs)
        assert done.returncode == 0, f"{line}\n{done.stdout}"
        return done.stdout

    def losses(self, run):
        with open(os.path.join(self.dir, run, "metrics.jsonl")) as f:
            return [m["loss"] for m in map(json.loads, f) if "loss" in m]

    def test_the_project_builds_and_trains_alike_on_one_and_two_ranks(self):
        build = os.path.join(self.dir, "build")
        self.check(["cmake", "-S", self.project, "-B", build, f"-DCMAKE_PREFIX_PATH={self.prefix}",
                    "-DCMAKE_BUILD_TYPE=Release"])
        self.check(["cmake", "--build", build])
        consumer = os.path.join(build, "consumer")
        libraries = self.check(["ldd", consumer])
        self.assertIn(os.path.join(self.prefix, "lib/libstowage.so"), libraries)
        self.assertNotIn("not found", libraries)
        self.check([consumer, os.path.join(self.dir, "one")])
        self.check([*runs.mpirun(2), consumer, os.path.join(self.dir, "two")])
        one, two = self.losses("one"), self.losses("two")
        self.assertEqual(len(one), 60)
        self.assertLess(one[-1], 0.5 * one[0])
        for step, (a, b) in enumerate(zip(one, two)):
            self.assertLess(abs(a / b - 1), 1e-5, f"step {step}")
        self.assertEqual(len(two), 60)

    def test_the_installed_program_runs(self):
        self.assertIn("stowage ", self.check([self.prefix + "/bin/stowage", "version"]))

    def test_no_header_is_missing_or_of_the_repository(self):
        listed = self.check(["find", self.prefix + "/include", "-type", "l"])
        self.assertEqual(listed, "")
        self.assertTrue(os.path.exists(self.prefix + "/include/stowage/stowage/stowage.h"))

    def test_a_wrong_libtorch_is_refused_with_what_to_do(self):
        done = self.ran(["cmake", "-S", self.project, "-B", os.path.join(self.dir, "wrong"),
                         f"-DCMAKE_PREFIX_PATH={self.prefix}", "-DSTOWAGE_LIBTORCH=/nowhere"])
        self.assertNotEqual(done.returncode, 0)
        words = " ".join(done.stdout.split())
        self.assertIn("STOWAGE_LIBTORCH=/nowhere has no include/ATen/ATen.h: give the folder of LibTorch 2.11.0", words)

    def test_a_prefix_is_asked_for(self):
        done = self.ran([INSTALL])
        self.assertEqual(done.returncode, 2)
        self.assertIn("tools/install: name a PREFIX", done.stdout)


if __name__ == "__main__":
    unittest.main()
