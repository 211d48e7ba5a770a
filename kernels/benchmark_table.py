#!/usr/bin/env python3
"""Runs kernels_benchmark and prints a table: each kernel, ATen's composition beside it, and the machine's peak.

    bazel build //kernels:kernels_benchmark && kernels/benchmark_table.py [--filter REGEX] [--threads N]

A figure is the fastest of five short runs, in random order: other work on the machine only ever slows one down. The
peak of bytes is the fastest of memcpy, STREAM's triad and a plain read on as many threads; the peak of FLOPs is the
fastest product of the same type, whoever's, in the same run: look at that share only if the filter lets those in.
ATen's part of a row is the benchmark of the same name with "Aten" before it.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys

BINARY = pathlib.Path(__file__).resolve().parent.parent / "bazel-bin/kernels/kernels_benchmark"
PEAKS = ("Memcpy", "Triad", "Read")


def measure(binary, pattern, seconds):
    command = [str(binary), "--benchmark_format=json", f"--benchmark_filter={pattern}",
               f"--benchmark_min_time={seconds}", "--benchmark_repetitions=5",
               "--benchmark_enable_random_interleaving=true"]
    output = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
    best = {}
    for run in output["benchmarks"]:
        if run["run_type"] != "iteration":
            continue
        name = run["run_name"].removeprefix("BM_").removesuffix("/real_time")
        if name not in best or run["real_time"] < best[name]["real_time"]:
            best[name] = run
    return best


def arguments_of(name):
    """What must be equal for two runs to share a peak: "threads:2"."""
    return "".join(re.findall(r"threads:\d+", name)) or "threads:1"


def peaks(best):
    result = {}
    for name, run in best.items():
        if name.split("/")[0] in PEAKS:
            key = ("bytes", arguments_of(name))
            result[key] = max(result.get(key, 0), run["bytes_per_second"])
        product = re.match(r"(Aten)?Gemm(Fp32|Bf16)", name)
        if product:
            key = (product[2], arguments_of(name))
            result[key] = max(result.get(key, 0), run["FLOPS"])
    return result


def row(name, run, atens, peak):
    if "FLOPS" in run:
        rate, unit = run["FLOPS"], "GFLOP/s"
        kind = "Fp32" if "Fp32" in name else "Bf16"
    elif "bytes_per_second" in run:
        rate, unit, kind = run["bytes_per_second"], "GB/s", "bytes"
    else:
        rate, unit, kind = 1e15 / run["real_time"], "runs/s", ""  # Google Benchmark's unit is ns
    top = peak.get((kind, arguments_of(name)))
    share = f"{100 * rate / top:.0f} %" if top else ""
    faster = f"{atens['real_time'] / run['real_time']:.2f}" if atens else ""
    return [name, f"{run['real_time'] / 1e6:.3f}", f"{rate / 1e9:.1f} {unit}", share, faster]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--filter", default=".", help="regular expression of names, without BM_ and Aten")
    parser.add_argument("--threads", type=int, choices=(1, 2), help="only these thread counts")
    parser.add_argument("--seconds", type=float, default=0.05, help="length of one of the five runs")
    parser.add_argument("--binary", default=BINARY)
    options = parser.parse_args()
    pattern = rf"^BM_({'|'.join(PEAKS)}|(Aten)?({options.filter}))"
    best = measure(options.binary, pattern, options.seconds)
    if options.threads:
        best = {name: run for name, run in best.items() if arguments_of(name) == f"threads:{options.threads}"}
    peak = peaks(best)
    rows = [["kernel", "ms", "rate", "of peak", "x ATen"]]
    paired = set()
    for name, run in best.items():
        if name.startswith("Aten"):
            continue
        paired.add("Aten" + name)
        rows.append(row(name, run, best.get("Aten" + name), peak))
    rows += [row(name, run, None, peak) for name, run in best.items() if name.startswith("Aten") and name not in paired]
    widths = [max(len(line[i]) for line in rows) for i in range(5)]
    for line in rows:
        print(line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:])), sep="  ")


if __name__ == "__main__":
    sys.exit(main())
