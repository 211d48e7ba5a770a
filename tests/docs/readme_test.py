"""The README's commands work as they are printed, at a small size where they would train for minutes."""

import os
import re
import shlex
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "launch"))
import runs  # noqa: E402

SMALL = ["train.steps=3", "train.global_batch=4", "train.micro_batch=2", "model.layers=1", "model.width=48",
         "model.context=32", "train.eval_sequences=8"]


def commands(language="sh"):
    with open("README.md") as f:
        blocks = re.findall(r"```" + language + r"\n(.*?)```", f.read(), re.DOTALL)
    for block in blocks:
        for line in re.sub(r"\\\n\s*", "", block).splitlines():
            yield line.split("   #")[0].strip()


class ReadmeTest(runs.RunTest):
    def test_every_stowage_command_runs_in_order(self):
        ran = []
        # Where the README's reader stands: at the root of the clone, with the program built.
        os.makedirs(self.path("clone"))
        os.symlink(os.path.abspath(runs.BINARY), self.path("clone/stowage"))
        os.symlink(os.path.abspath("configs"), self.path("clone/configs"))
        for line in commands():
            words = shlex.split(line)
            if not words or words[0] == "./tools/test":
                continue
            self.assertIn("./stowage", words, f"this test does not know how to run: {line}")
            if words[0] == "mpirun":
                # As root, and with fewer cores than ranks, what the README says to add.
                words = ["mpirun", *runs.mpirun(0, grace=0)[3:], *words[1:]]
            if "train" in words:
                for item in SMALL:
                    words += ["--set", item]
            done = self.run_command(words, cwd=self.path("clone"))
            self.assertEqual(done.returncode, 0, f"{line}\n{done.stdout}\n{done.stderr}")
            ran.append(line)
        self.assertGreaterEqual(len(ran), 6, ran)

    def test_links_lead_somewhere(self):
        # In the source tree itself, which the test's own links lead to.
        readme = os.path.realpath("README.md")
        with open(readme) as f:
            text = f.read()
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
            self.assertTrue(os.path.exists(os.path.join(os.path.dirname(readme), target)), f"README.md links to {target}, which is not there")


if __name__ == "__main__":
    unittest.main()
