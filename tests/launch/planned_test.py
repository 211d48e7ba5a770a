"""memory.allocator: planned: the same bits as online, on one rank and on two, and nothing of a step from the pool."""

import unittest

import runs


class PlannedTest(runs.RunTest):
    def assert_same_bits(self, sets, ranks=0):
        self.train("online", sets, ranks=ranks)
        self.train("planned", sets + ["memory.allocator=planned"], ranks=ranks)
        self.assertNotIn("planned", self.report("online"))
        self.assertEqual([s["loss"] for s in self.steps("online")], [s["loss"] for s in self.steps("planned")])
        self.assertEqual([s["grad_norm"] for s in self.steps("online")], [s["grad_norm"] for s in self.steps("planned")])
        self.assertEqual(self.weights("online"), self.weights("planned"))
        return self.report("planned")["planned"]

    def assert_followed(self, plan, steps):
        self.assertEqual(plan["steps"], steps)
        self.assertEqual(plan["fallbacks"], 0, plan)
        self.assertGreater(plan["served"], 50 * steps)
        self.assertLessEqual(plan["arena_bytes"], 1.01 * plan["peak_live_bytes"])

    def test_one_rank_with_evaluations_and_saves_in_between(self):
        plan = self.assert_same_bits(["train.steps=12", "train.eval_every=5", "checkpoint.every=4"])
        self.assert_followed(plan, 10)

    def test_bf16_with_dropout(self):
        plan = self.assert_same_bits(["train.steps=8", "precision=bf16", "model.dropout=0.1"])
        self.assert_followed(plan, 6)

    def test_two_ranks(self):
        plan = self.assert_same_bits(["train.steps=8", "train.global_batch=13"], ranks=2)
        self.assert_followed(plan, 6)

    def test_the_smaller_step_of_an_epochs_leftover_runs_online(self):
        self.write("train.txt", runs.text_of(2))
        plan = self.assert_same_bits(["train.steps=none", "train.epochs=3", "train.global_batch=20"])
        self.assertEqual(plan["fallbacks"], 0)


if __name__ == "__main__":
    unittest.main()
