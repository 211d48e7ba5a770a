"""A run ends with what its memory was made of at its peak, and the lines add up to the peak that the kernel saw."""

import unittest

import runs

MOST_UNEXPLAINED = 0.03


class MemoryTableTest(runs.RunTest):
    def check(self, report):
        measured = report["measured"]
        peak, then = measured["rss_peak_bytes"], measured["at_rss_peak"]
        total = sum(then["tensor_bytes"].values()) + sum(then["outside_bytes"].values()) + then["unexplained_bytes"]
        self.assertEqual(total, peak)
        self.assertLessEqual(abs(then["unexplained_bytes"]), MOST_UNEXPLAINED * peak, then)
        # What every run has; LibTorch alone brings that much.
        self.assertGreater(then["outside_bytes"]["libraries"], 20 << 20)
        self.assertGreater(then["outside_bytes"]["libraries_heap"], 20 << 20)
        self.assertGreater(then["outside_bytes"]["thread_stacks"], 0)
        self.assertGreater(then["tensor_bytes"]["parameters"], 0)

    def test_one_rank(self):
        done = self.train("alone", ["train.steps=4"])
        self.check(self.report("alone"))
        for words in ("Memory at its peak (", "libraries' code and data", "unexplained", "peak resident"):
            self.assertIn(words, done.stdout)

    def test_two_ranks_name_the_one_with_the_most(self):
        done = self.train("two", ["train.steps=4"], ranks=2)
        report = self.report("two")
        self.check(report)
        self.assertGreaterEqual(report["measured"]["most_rss_peak_bytes"], report["measured"]["rss_peak_bytes"])
        # MPI's segments between ranks of a host.
        self.assertGreater(report["measured"]["at_rss_peak"]["outside_bytes"]["shared_memory"], 0)
        self.assertIn("the rank with the most", done.stdout)

    def test_quickstart(self):
        # Its own size, so that tensors weigh something beside the libraries; a few steps of it.
        self.train("quickstart", ["train.steps=3", "train.eval_sequences=8"], config="configs/quickstart.yaml")
        self.check(self.report("quickstart"))


if __name__ == "__main__":
    unittest.main()
