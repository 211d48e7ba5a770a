"""memory.host inside a memory cgroup of that size: the error of the budget, not the kernel's killer.

Needs a memory cgroup that this user may make (root in most containers with version 1; with version 2 a group that was
delegated). Where there is none the test fails and says so: it is no test that may pass unseen.
"""

import os
import time

from budget_runs import MIB, BudgetRun, runs


def own_memory_group():
    """(folder, name of the file with the limit) of this process's memory cgroup."""
    groups = {}
    with open("/proc/self/cgroup") as f:
        for line in f.read().split():
            _, controllers, path = line.split(":", 2)
            for controller in controllers.split(","):
                groups[controller] = path
    with open("/proc/self/mountinfo") as f:
        for line in f:
            where, what = line.split(" - ")
            root, mount = where.split()[3:5]
            kind, _, options = what.split()[:3]
            limit = None
            if kind == "cgroup" and "memory" in options.split(",") and "memory" in groups:
                path, limit = groups["memory"], "memory.limit_in_bytes"
            elif kind == "cgroup2" and "memory" not in groups and "" in groups:
                path, limit = groups[""], "memory.max"
            if limit:
                inside = path[len(root):] if root != "/" and path.startswith(root) else path
                return os.path.join(mount, inside.strip("/")), limit
    return None, None


def remove(group, seconds=10):
    """Once its processes are gone: a rank ends a little later than mpirun."""
    end = time.monotonic() + seconds
    while True:
        try:
            return os.rmdir(group)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


class CgroupTest(BudgetRun):
    def group_of(self, limit_bytes):
        """Makes a group with that limit; returns what moves a child into it before it starts."""
        parent, limit = own_memory_group()
        self.assertIsNotNone(parent, "there is no memory cgroup here; run this test where there is one")
        group = os.path.join(parent, f"stowage-test-{os.getpid()}-{limit_bytes}")
        try:
            os.mkdir(group)
            self.addCleanup(remove, group)
            with open(os.path.join(group, limit), "w") as f:
                f.write(str(limit_bytes))
        except OSError as error:
            self.fail(f"cannot make a memory cgroup below {parent}: {error}; run this test as a user who may")

        def enter():
            with open(os.path.join(group, "cgroup.procs"), "w") as f:
                f.write(str(os.getpid()))

        return enter

    def test_one_rank(self):
        budget = self.free_peak() * 60 // 100 // MIB * MIB
        enter = self.group_of(budget)
        # Said, and found: auto is the group's limit.
        for run, host, named in (("said", f"{budget // MIB}MiB", f"{budget // MIB}MiB"), ("found", "auto", "auto (")):
            code, text, peak = self.measured(run, [f"memory.host={host}"], before=enter)
            self.assert_refused(code, text, named)
            self.assertLessEqual(peak, budget)

    def test_two_ranks(self):
        budget = self.free_peak(ranks=2) * 60 // 100 // MIB * MIB
        # mpirun lives in the group too.
        enter = self.group_of(2 * budget + 64 * MIB)
        code, text, peak = self.measured("said", [f"memory.host={budget // MIB}MiB"], ranks=2, before=enter)
        self.assert_refused(code, text, f"{budget // MIB}MiB")
        self.assertLessEqual(peak, budget)

    def test_a_run_that_fits_trains_in_its_group(self):
        free = self.free_peak()
        code, text, peak = self.measured("fits", before=self.group_of(free * 5 // 4 // MIB * MIB))
        self.assertEqual(code, runs.EXIT_OK, text)
        self.assertEqual(self.losses("fits"), self.losses("free"))
