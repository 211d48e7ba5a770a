"""tools/bench allocations: real training steps' allocations, played against Stowage's pool and four malloc libraries.

First a few steps of each config are trained, and every block that a tensor takes is written down. Then one step of each
is played over and over: by Stowage's allocator as LibTorch uses it (pool, block header, ledger), and by glibc, jemalloc,
tcmalloc and mimalloc (posix_memalign to 64 bytes), each in a process of its own, in turn, the order reversed in every
other round. Every block is written once, whole. Counted is the steady state: pairs of allocation and free a second, minor
page faults a step, and how far the process grew (VmHWM less what it had before) over the most bytes that were live.
Without writing, the same gives the time of the calls alone. LibTorch's own allocator is played too, as it comes and with
glibc's mmap threshold fixed at 128 KiB. Small blocks, one at a time, give the pairs that a thread's cache serves.

With --training whole steps are trained instead: with the pool (memory.allocator online, planned), and with tensors'
blocks from malloc: glibc's, and tcmalloc's, preloaded.

Prints a table in Markdown, and with --out writes every measured value as JSON.
"""

import argparse
import datetime
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile

from train import ROOT, commit, config_path, machine

PROGRAMS = os.path.join(ROOT, "bazel-bin", "tools", "benchmarks", "allocations")
LIBRARIES = "/usr/lib/x86_64-linux-gnu"

# Name: (what the program plays against, what is preloaded, further options).
ALLOCATORS = {
    "stowage": ("stowage", None, []),
    "glibc": ("malloc", None, []),
    "jemalloc": ("malloc", "libjemalloc.so.2", []),
    "tcmalloc": ("malloc", "libtcmalloc_minimal.so.4", []),
    "mimalloc": ("malloc", "libmimalloc.so.2", []),
    "libtorch": ("libtorch", None, []),
    "libtorch, fixed threshold": ("libtorch", None, ["--fixed-mmap-threshold"]),
}
MALLOCS = ("glibc", "jemalloc", "tcmalloc", "mimalloc")
PACKAGES = "libjemalloc2 libtcmalloc-minimal4 libmimalloc2.0"


def record(name, steps, folder, sets):
    out = os.path.join(folder, os.path.splitext(os.path.basename(name))[0] + ".trace.gz")
    command = [os.path.join(PROGRAMS, "record_allocations"), config_path(name), "--out", out, "--run-dir",
               os.path.join(folder, "run-" + os.path.basename(name)), "--steps", str(steps)]
    for value in sets:
        command += ["--set", value]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    return out


def play(arguments, who, preload):
    """One child process, alone; what it measured."""
    environment = dict(os.environ)
    if preload is not None:
        environment["LD_PRELOAD"] = os.path.join(LIBRARIES, preload)
    command = [os.path.join(PROGRAMS, "replay_allocations"), *arguments]
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False, text=True)
    if done.returncode != 0:
        sys.exit(f"{who}: {' '.join(command)}: exit {done.returncode}")
    return json.loads(done.stdout)


def play_round(traces, seconds, reverse):
    """Every allocator on every trace, written and not; and the small blocks."""
    result = {"steps": {}, "pairs": {}}
    names = list(ALLOCATORS)[::-1] if reverse else list(ALLOCATORS)
    for trace_name, path in traces.items():
        for who in names:
            allocator, preload, extra = ALLOCATORS[who]
            common = ["step", path, "--allocator", allocator, "--seconds", str(seconds), *extra]
            result["steps"].setdefault(trace_name, {})[who] = {
                "written": play([*common, "--write", "all"], who, preload),
                "calls": play([*common, "--write", "none"], who, preload)}
    for who in [*names, "pool alone"]:
        if "," in who:
            continue
        allocator, preload, _ = ALLOCATORS.get(who, ("pool", None, []))
        result["pairs"][who] = play(["pairs", "--allocator", allocator, "--seconds", str(seconds / 2)], who, preload)
    return result


def spread(values):
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}


def summary_of(rounds):
    out = {"steps": {}, "pairs": {}}
    for trace in rounds[0]["steps"]:
        for who in rounds[0]["steps"][trace]:
            runs = [r["steps"][trace][who] for r in rounds]
            written = [r["written"] for r in runs]
            out["steps"].setdefault(trace, {})[who] = {
                "pairs_per_second": spread([w["pairs"] / w["seconds"] for w in written]),
                "step_ms": spread([1e3 * w["seconds"] / w["rounds"] for w in written]),
                "faults_per_step": spread([w["minor_faults"] / w["rounds"] for w in written]),
                "reserved_over_live": spread([w["rss_peak_growth_bytes"] / w["peak_live_bytes"] for w in written]),
                "call_ns_per_pair": spread([1e9 * r["calls"]["seconds"] / r["calls"]["pairs"] for r in runs])}
            if who == "stowage":
                out["steps"][trace][who]["pool_reserved_over_live"] = spread(
                    [w["pool"]["peak_resident_bytes"] / w["peak_live_bytes"] for w in written])
    for who in rounds[0]["pairs"]:
        out["pairs"][who] = spread([r["pairs"][who]["pairs"] / r["pairs"][who]["seconds"] for r in rounds])
    return out


def ratios_of(summary):
    """What is promised: Stowage against the others, on each trace."""
    out = {}
    for trace, rows in summary["steps"].items():
        speed = {who: row["pairs_per_second"]["median"] for who, row in rows.items()}
        faults = {who: row["faults_per_step"]["median"] for who, row in rows.items()}
        fastest = max(MALLOCS, key=speed.get)
        time = {who: row["step_ms"]["median"] for who, row in rows.items()}
        fixed = "libtorch, fixed threshold"
        out[trace] = {
            "fastest_other": fastest,
            "over_fastest": speed["stowage"] / speed[fastest],
            "over_glibc": speed["stowage"] / speed["glibc"],
            "faults_over_glibc": faults["stowage"] / faults["glibc"] if faults["glibc"] else None,
            "reserved_over_live": rows["stowage"]["reserved_over_live"]["median"],
            "pool_reserved_over_live": rows["stowage"]["pool_reserved_over_live"]["median"],
            "time_saved_over_libtorch_fixed": 1 - time["stowage"] / time[fixed],
            "time_saved_over_libtorch": 1 - time["stowage"] / time["libtorch"],
            "faults_over_libtorch_fixed": faults["stowage"] / faults[fixed] if faults[fixed] else None}
    return out


def cell(value, digits):
    return f"{value['median']:,.{digits}f} ({value['least']:,.{digits}f} to {value['greatest']:,.{digits}f})"


def report(result):
    summary, ratios = result["summary"], result["ratios"]
    lines = [f"{result['date']}, {result['machine']}, commit {result['commit']}", f"`{result['command']}`", ""]
    for trace, rows in summary["steps"].items():
        one = result["rounds"][0]["steps"][trace]["stowage"]["written"]
        lines += [f"{trace}: a step is {one['pairs_per_step']:,} blocks, {one['bytes_per_step'] / 1e6:,.1f} MB; "
                  f"most live at once {one['peak_live_bytes'] / 1e6:,.1f} MB; {len(result['rounds'])} rounds", "",
                  "| | ms a step, written | page faults a step | grown over live | calls alone, ns a pair |",
                  "|---|---|---|---|---|"]
        for who, row in rows.items():
            lines.append(f"| {who} | {cell(row['step_ms'], 3)} | {cell(row['faults_per_step'], 1)} "
                         f"| {row['reserved_over_live']['median']:.3f} | {cell(row['call_ns_per_pair'], 0)} |")
        r = ratios[trace]
        faults = ["none there" if r[key] is None else f"{100 * r[key]:.2f} %"
                  for key in ("faults_over_glibc", "faults_over_libtorch_fixed")]
        lines += ["", f"Stowage over the fastest other ({r['fastest_other']}) {r['over_fastest']:.3f}x, over glibc "
                  f"{r['over_glibc']:.3f}x; page faults over glibc's {faults[0]}; resident pages by the pool's own books "
                  f"over live {r['pool_reserved_over_live']:.3f}. Beside LibTorch's allocator: time "
                  f"{100 * r['time_saved_over_libtorch_fixed']:.1f} % lower with a fixed mmap threshold (page faults "
                  f"{faults[1]}), {100 * r['time_saved_over_libtorch']:.1f} % lower as it comes.", ""]
    lines += ["| small blocks, one at a time | million pairs a second |", "|---|---|"]
    lines += [f"| {who} | {row['median'] / 1e6:.1f} ({row['least'] / 1e6:.1f} to {row['greatest'] / 1e6:.1f}) |"
              for who, row in summary["pairs"].items()]
    return "\n".join(lines)


# Name: (where tensors' blocks come from, what is preloaded, further settings).
TRAININGS = {
    "pool, online": ("pool", None, ["memory.allocator=online"]),
    "pool, planned": ("pool", None, ["memory.allocator=planned"]),
    "glibc": ("malloc", None, []),
    "tcmalloc": ("malloc", "libtcmalloc_minimal.so.4", []),
}


def train(config, who, steps, sets, folder):
    """Median seconds of a step without the first three, and the run's VmHWM."""
    blocks, preload, more = TRAININGS[who]
    environment = dict(os.environ)
    if preload is not None:
        environment["LD_PRELOAD"] = os.path.join(LIBRARIES, preload)
    run = os.path.join(folder, "run")
    command = [os.path.join(PROGRAMS, "train_steps"), config_path(config), "--blocks", blocks, "--run-dir", run,
               "--steps", str(steps)]
    for value in [*sets, *more]:
        command += ["--set", value]
    subprocess.run(command, env=environment, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)
    with open(os.path.join(run, "metrics.jsonl"), encoding="utf-8") as lines:
        metrics = [m for m in map(json.loads, lines) if "loss" in m]
    shutil.rmtree(run)
    return {"seconds": statistics.median(m["seconds"] for m in metrics[3:]),
            "rss_peak_bytes": metrics[-1]["rss_peak_bytes"]}


def train_rounds(arguments):
    rounds = []
    with tempfile.TemporaryDirectory(prefix="stowage-allocations-") as folder:
        for i in range(arguments.rounds):
            names = list(TRAININGS)[::-1] if i % 2 == 1 else list(TRAININGS)
            rounds.append({config: {who: train(config, who, arguments.steps, arguments.set, folder) for who in names}
                           for config in arguments.configs})
            print(f"round {i + 1} of {arguments.rounds}", file=sys.stderr)
    lines = ["| | ms a step, median (least to greatest) | peak RSS, MB |", "|---|---|---|"]
    for config in arguments.configs:
        for who in TRAININGS:
            runs = [r[config][who] for r in rounds]
            lines.append(f"| {config}: {who} | {cell(spread([1e3 * r['seconds'] for r in runs]), 1)} | "
                         f"{statistics.median(r['rss_peak_bytes'] for r in runs) / 1e6:,.0f} |")
    return rounds, lines


def main():
    parser = argparse.ArgumentParser(prog="tools/bench allocations", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", nargs="+", default=["quickstart", "gpt2_124m", "cnn"])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="for all configs")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=4, help="trained while recording, or with --training in each run")
    parser.add_argument("--seconds", type=float, default=0.5, help="each process plays at least so long, and 3 steps")
    parser.add_argument("--training", action="store_true", help="train whole steps, with the pool and without")
    parser.add_argument("--traces", help="keep the traces in this folder; those that lie there are not recorded again")
    parser.add_argument("--out", help="JSON file")
    arguments = parser.parse_args()
    missing = [library for _, library, _ in ALLOCATORS.values()
               if library and not os.path.exists(os.path.join(LIBRARIES, library))]
    if missing:
        sys.exit(f"tools/bench allocations: no {', '.join(missing)} in {LIBRARIES}: apt-get install {PACKAGES}")
    if not os.path.exists(PROGRAMS):
        sys.exit(f"tools/bench allocations: no programs in {PROGRAMS}: run it by tools/bench, which builds them")

    about = {"date": datetime.date.today().isoformat(), "machine": machine(), "commit": commit(),
             "command": shlex.join(["tools/bench", "allocations", *sys.argv[1:]])}
    if arguments.training:
        rounds, lines = train_rounds(arguments)
        print("\n".join([f"{about['date']}, {about['machine']}, commit {about['commit']}", f"`{about['command']}`", "",
                         *lines]))
        if arguments.out:
            with open(arguments.out, "w", encoding="utf-8") as file:
                json.dump({**about, "rounds": rounds}, file, indent=1)
        return
    with tempfile.TemporaryDirectory(prefix="stowage-allocations-") as folder:
        kept = arguments.traces or folder
        os.makedirs(kept, exist_ok=True)
        traces = {}
        for name in arguments.configs:
            path = os.path.join(kept, os.path.splitext(os.path.basename(name))[0] + ".trace.gz")
            if not os.path.exists(path):
                os.replace(record(name, arguments.steps, folder, arguments.set), path)
            traces[os.path.splitext(os.path.basename(name))[0]] = path
        rounds = []
        for i in range(arguments.rounds):
            rounds.append(play_round(traces, arguments.seconds, reverse=i % 2 == 1))
            print(f"round {i + 1} of {arguments.rounds}", file=sys.stderr)
    summary = summary_of(rounds)
    result = {**about, "rounds": rounds, "summary": summary, "ratios": ratios_of(summary)}
    print(report(result))
    if arguments.out:
        with open(arguments.out, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1)


if __name__ == "__main__":
    main()
