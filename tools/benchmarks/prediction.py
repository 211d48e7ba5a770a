"""Predicted against measured memory, over a grid of real runs: kinds, sizes, precision, batches, accumulation, ranks.

Each run is `stowage train`, which rehearses itself first and writes both sides into report.json. Two claims are looked
at: the ledger's peak (bytes of tensors; exact), and VmHWM (what a machine kills by; never below, little above).
No run of the grid is one that calibration fits to: `stowage calibrate` trains models of its own.
"""

import argparse
import datetime
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from train import commit, machine

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
MIB = 2**20
# What a prediction may lie above the measured peak.
MOST_SHARE, MOST_BYTES = 0.05, 32 * MIB

TEXT = {
    "run": {"name": "grid", "seed": 1},
    "data": {"source": "kjv", "tokenizer": "bytes"},
    "optimizer": {"kind": "adamw", "lr": 1e-4},
}
IMAGES = dict(TEXT, data={"source": "fashion-mnist"})


def text_run(kind, layers, width, context, micro, batch, precision, ranks=1, **model):
    config = json.loads(json.dumps(TEXT))
    config["model"] = {"kind": kind, "layers": layers, "width": width, "context": context, **model}
    if kind != "rnn":
        config["model"]["heads"] = max(1, width // 64)
    config["train"] = {"steps": 2, "global_batch": batch, "micro_batch": micro, "eval_sequences": micro}
    config["precision"] = precision
    cell = " " + model["cell"] if "cell" in model else ""
    cell += f" {model['vocabulary']} tokens" if "vocabulary" in model else ""
    return (f"{kind}{cell} {layers}x{width}, T {context}, batch {batch} by {micro}, {precision}, ranks {ranks}", config,
            ranks)


def image_run(kind, layers, width, micro, batch, precision, ranks=1, **model):
    config = json.loads(json.dumps(IMAGES))
    config["model"] = {"kind": kind, "layers": layers, "width": width, **model}
    config["train"] = {"steps": 2, "global_batch": batch, "micro_batch": micro, "eval_sequences": micro}
    config["precision"] = precision
    return f"{kind} {layers}x{width}, batch {batch} by {micro}, {precision}, ranks {ranks}", config, ranks


def grid():
    runs = []
    for precision in ("fp32", "bf16"):
        for kind in ("gpt2", "llama"):
            for layers, width, context, micro, batch in (
                    (4, 192, 128, 4, 12), (6, 384, 256, 8, 8), (6, 384, 256, 24, 24),
                    (6, 384, 256, 48, 48), (8, 512, 256, 20, 40), (8, 512, 512, 10, 10), (8, 512, 128, 40, 40),
                    (12, 768, 64, 1, 3), (12, 768, 64, 4, 4), (12, 768, 128, 4, 4), (12, 768, 256, 2, 4),
                    (4, 256, 1024, 4, 4), (4, 256, 2048, 8, 8), (24, 1024, 64, 1, 2)):
                runs.append(text_run(kind, layers, width, context, micro, batch, precision))
            for layers, width, context, micro, batch, ranks in (
                    (4, 192, 128, 4, 16, 2), (6, 384, 256, 4, 16, 2), (6, 384, 256, 24, 48, 2), (8, 512, 256, 10, 20, 2),
                    (2, 128, 64, 2, 13, 3), (4, 192, 128, 4, 16, 4), (12, 768, 64, 1, 2, 2)):
                runs.append(text_run(kind, layers, width, context, micro, batch, precision, ranks))
        # bytes have a vocabulary of 256: a large one makes the head the peak
        runs.append(text_run("gpt2", 4, 256, 256, 8, 8, precision, vocabulary=50257))
        runs.append(text_run("gpt2", 12, 768, 128, 4, 4, precision, vocabulary=50257))
        runs.append(text_run("llama", 4, 256, 512, 16, 16, precision, vocabulary=32000, kv_heads=2))
        for layers, width, micro, batch in ((3, 512, 128, 128), (6, 4096, 256, 512), (8, 4096, 128, 128),
                                            (4, 8192, 64, 64)):
            runs.append(image_run("mlp", layers, width, micro, batch, precision))
        for layers, width, micro, batch in ((2, 16, 32, 64), (3, 32, 128, 128), (2, 64, 512, 512), (3, 32, 1024, 1024)):
            runs.append(image_run("cnn", layers, width, micro, batch, precision))
        for cell in ("lstm", "gru"):
            for layers, width, context, micro, batch in ((2, 512, 128, 16, 32),):
                runs.append(text_run("rnn", layers, width, context, micro, batch, precision, cell=cell))
        runs.append(image_run("mlp", 4, 1024, 32, 100, precision, ranks=2))
        runs.append(image_run("cnn", 2, 16, 32, 64, precision, ranks=2))
    return runs


def play(program, name, config, ranks, keep):
    path = os.path.join(keep, "config.yaml")
    with open(path, "w") as f:
        json.dump(config, f)  # JSON is YAML
    run = os.path.join(keep, "run")
    line = [program, "train", path, "--run-dir", run]
    if ranks > 1:
        launcher = ["mpirun", "-n", str(ranks), "--oversubscribe", "--mca", "odls_base_sigkill_timeout", "10"]
        line = launcher + (["--allow-run-as-root"] if os.geteuid() == 0 else []) + line
    start = time.monotonic()
    done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{name}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    with open(os.path.join(run, "report.json")) as f:
        report = json.load(f)
    shutil.rmtree(run)
    predicted, measured = report["predicted"], report["measured"]
    phases = ("init", "train", "eval", "save")
    return {
        "run": name, "kind": config["model"]["kind"], "precision": config["precision"], "ranks": ranks,
        "predicted_tensors": max(predicted["phase_peak_bytes"][p]["total"] for p in phases),
        "measured_tensors": max(measured["phase_peak_bytes"][p]["total"] for p in phases),
        "same_phases": all(predicted["phase_peak_bytes"][p] == measured["phase_peak_bytes"][p] for p in phases),
        "predicted_rss": predicted.get("rss_peak_bytes"), "measured_rss": measured["rss_peak_bytes"],
        "seconds": round(time.monotonic() - start, 1),
    }


def above(row):
    return row["predicted_rss"] - row["measured_rss"]


def within(row):
    return 0 <= above(row) <= max(MOST_SHARE * row["measured_rss"], MOST_BYTES)


def summary(rows):
    exact = sum(r["predicted_tensors"] == r["measured_tensors"] for r in rows)
    lines = [
        f"{len(rows)} runs, {sum(r['measured_tensors'] >= 2**30 for r in rows)} of them with 1 GiB of tensors or more",
        f"tensors' peak equal to the byte: {exact} of {len(rows)}; all phases and categories: "
        f"{sum(r['same_phases'] for r in rows)}",
    ]
    off = max((abs(r["predicted_tensors"] - r["measured_tensors"]) / r["measured_tensors"] for r in rows), default=0)
    lines.append(f"largest difference of tensors' peaks: {100 * off:.3f} %")
    known = [r for r in rows if r["predicted_rss"] is not None]
    if known:
        shares = sorted(above(r) / r["measured_rss"] for r in known)
        lines += [
            f"VmHWM: predicted below measured in {sum(above(r) < 0 for r in known)} of {len(known)} runs; "
            f"0 to max(5 %, 32 MiB) above in {sum(within(r) for r in known)} ({100 * sum(map(within, known)) / len(known):.0f} %)",
            f"VmHWM above measured: median {100 * statistics.median(shares):.2f} %, from {100 * shares[0]:.2f} % to "
            f"{100 * shares[-1]:.2f} %",
        ]
    return lines


def table(rows):
    lines = ["| run | tensors, MiB | predicted - measured, bytes | VmHWM, MiB | predicted - measured, MiB | % |",
             "|---|---:|---:|---:|---:|---:|"]
    for r in sorted(rows, key=lambda r: r["run"]):
        rss = f"{above(r) / MIB:.1f} | {100 * above(r) / r['measured_rss']:.1f}" if r["predicted_rss"] else "- | -"
        lines.append(f"| {r['run']} | {r['measured_tensors'] / MIB:.1f} | "
                     f"{r['predicted_tensors'] - r['measured_tensors']} | {r['measured_rss'] / MIB:.1f} | {rss} |")
    return lines


def scatter(rows):
    """Predicted over measured VmHWM, both logarithmic, as SVG."""
    import math
    known = [r for r in rows if r["predicted_rss"]]
    low, high = math.log2(100 * MIB), math.log2(16 * 1024 * MIB)
    size, left, bottom = 420, 70, 440

    def place(measured, predicted):
        scale = size / (high - low)
        return left + (math.log2(measured) - low) * scale, bottom - (math.log2(predicted) - low) * scale

    colours = {"gpt2": "#1f77b4", "llama": "#ff7f0e", "mlp": "#2ca02c", "cnn": "#d62728", "rnn": "#9467bd"}
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 620 500" font-family="sans-serif" font-size="12">',
           '<rect width="620" height="500" fill="white"/>']
    for mib in (128, 256, 512, 1024, 2048, 4096, 8192):
        x, y = place(mib * MIB, mib * MIB)
        out += [f'<path d="M{x:.1f} {bottom}V{bottom - size}M{left} {y:.1f}H{left + size}" stroke="#ddd"/>',
                f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{mib}</text>',
                f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{mib}</text>']
    x0, y0 = place(100 * MIB, 100 * MIB)
    x1, y1 = place(16 * 1024 * MIB, 16 * 1024 * MIB)
    out.append(f'<path d="M{x0:.1f} {y0:.1f}L{x1:.1f} {y1:.1f}" stroke="black"/>')
    for r in known:
        x, y = place(r["measured_rss"], r["predicted_rss"])
        out.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colours[r["kind"]]}" fill-opacity="0.6"/>')
    for i, (kind, colour) in enumerate(colours.items()):
        out += [f'<circle cx="515" cy="{60 + 18 * i}" r="4" fill="{colour}"/>',
                f'<text x="525" y="{64 + 18 * i}">{kind}</text>']
    out += [f'<text x="{left + size / 2}" y="480" text-anchor="middle">measured VmHWM, MiB</text>',
            f'<text transform="translate(16 {bottom - size / 2}) rotate(-90)" text-anchor="middle">'
            'predicted VmHWM, MiB</text>', '</svg>']
    return "\n".join(out) + "\n"


def page(rows):
    return [
        "# Predicted and measured memory", "",
        f"Made by `tools/bench prediction --out docs/benchmarks`: {datetime.date.today().isoformat()}, {machine()}, commit "
        f"{commit()}.", "",
        "Each row is one `stowage train` of two steps, an evaluation and a save, which rehearsed itself first; its `report.json`",
        "has both sides. *Tensors* is the ledger's peak over start, steps, evaluation and save; *VmHWM* is what a machine kills",
        "by, of rank 0. No run was used to fit: what a process holds besides tensors comes from `stowage calibrate`, which trains",
        "models of its own ([calibration](../calibration.md)). Other work may run beside: bytes do not mind.", "",
        *("- " + line for line in summary(rows)), "", "![Predicted over measured VmHWM](prediction.svg)", "", *table(rows)]


def write(rows, out):
    os.makedirs(out, exist_ok=True)
    with open(os.path.join(out, "prediction.json"), "w") as f:
        json.dump(rows, f, indent=1)
        f.write("\n")
    with open(os.path.join(out, "prediction.svg"), "w") as f:
        f.write(scatter(rows))
    with open(os.path.join(out, "prediction.md"), "w") as f:
        f.write("\n".join(page(rows)) + "\n")


def main():
    parser = argparse.ArgumentParser(prog="tools/bench prediction", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="runs whose name holds this text")
    parser.add_argument("--out", help="folder for prediction.json, prediction.md and prediction.svg")
    parser.add_argument("--resume", action="store_true", help="keep the runs that stand in --out's prediction.json")
    parser.add_argument("--program", default=os.path.join(ROOT, "stowage"))
    arguments = parser.parse_args()
    rows = []
    chosen = [r for r in grid() if arguments.only in r[0]]
    if arguments.resume and os.path.exists(os.path.join(arguments.out, "prediction.json")):
        with open(os.path.join(arguments.out, "prediction.json")) as f:
            rows = [r for r in json.load(f) if r["run"] in {c[0] for c in chosen}]
    with tempfile.TemporaryDirectory(prefix="stowage-prediction-") as keep:
        for number, (name, config, ranks) in enumerate(chosen, 1):
            if any(r["run"] == name for r in rows):
                continue
            row = play(arguments.program, name, config, ranks, keep)
            rows.append(row)
            rss = f"{above(row) / MIB:+.1f} MiB ({100 * above(row) / row['measured_rss']:+.1f} %)" if row["predicted_rss"] else "-"
            print(f"{number}/{len(chosen)} {name}: tensors {row['measured_tensors'] / MIB:.1f} MiB "
                  f"{row['predicted_tensors'] - row['measured_tensors']:+d} bytes; VmHWM "
                  f"{row['measured_rss'] / MIB:.1f} MiB {rss}; {row['seconds']} s", flush=True)
            if arguments.out:
                write(rows, arguments.out)  # after each: the grid takes an hour, and may be cut short
    print("\n" + "\n".join(summary(rows)))
    return 0 if all(r["predicted_tensors"] == r["measured_tensors"] for r in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
