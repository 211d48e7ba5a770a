"""tools/bench train: Stowage and PyTorch train the same model on the same data, one at a time, in turn.

PyTorch is eager, and with --compile through torch.compile as well. With --precision bf16 Stowage computes in bf16 and
PyTorch under torch.autocast. Each round runs all, and for gpt2 the step's bare matrix products, each in a process of its own; the
order is reversed in every other round.
Seconds per step are those that each measures itself, without the first steps (--warmup). Peak RSS is VmHWM of the whole
process, libraries included. Prints a table in Markdown, and with --out writes every measured value as JSON.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.dirname(os.path.abspath(__file__))


def run(command, log):
    """Runs it alone; returns peak resident bytes. The last lines of its output are shown if it fails."""
    with open(log, "w", encoding="utf-8") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        with open(log, encoding="utf-8") as output:
            sys.exit(f"{' '.join(command)}: exit {process.returncode}\n" + "".join(output.readlines()[-20:]))
    return usage.ru_maxrss * 1024


def run_stowage(arguments, threads, folder):
    """Seconds per step, losses, peak RSS, and the resolved config."""
    run_folder = os.path.join(folder, "run")
    # A short run of the same steps: the schedule must fit into it, and the evaluation at its end is not measured.
    sets = [f"train.steps={arguments.steps}", "train.epochs=none", f"run.threads={threads}",
            "optimizer.schedule.warmup_steps=1", "train.eval_sequences=16", *([f"precision={arguments.precision}"] if arguments.precision else []),
            *arguments.set]
    command = [os.path.join(ROOT, "stowage"), "train", config_path(arguments.config), "--run-dir", run_folder]
    for value in sets:
        command += ["--set", value]
    rss_of_children = run(command, os.path.join(folder, "stowage.log"))
    with open(os.path.join(run_folder, "metrics.jsonl"), encoding="utf-8") as lines:
        steps = [entry for entry in map(json.loads, lines) if "seconds" in entry and "loss" in entry]
    with open(os.path.join(run_folder, "config.yaml"), encoding="utf-8") as file:
        config = yaml.safe_load(file)
    shutil.rmtree(run_folder)  # its checkpoint is large
    return {"seconds": [s["seconds"] for s in steps], "losses": [s["loss"] for s in steps],
            "rss_peak_bytes": rss_of_children}, config


def run_python(script, config, folder, name, extra):
    config_file, out = os.path.join(folder, "config.json"), os.path.join(folder, name + ".json")
    with open(config_file, "w", encoding="utf-8") as file:
        json.dump(config, file)
    rss = run([sys.executable, os.path.join(HERE, script), "--config", config_file, "--out", out, *extra],
              os.path.join(folder, name + ".log"))
    with open(out, encoding="utf-8") as file:
        result = json.load(file)
    result["rss_peak_bytes"] = rss
    return result


def config_path(name):
    return name if os.path.exists(name) else os.path.join(ROOT, "configs", name + ".yaml")


def write_text(path):
    """The quickstart's text, as Stowage's built-in source takes it."""
    with open(path, "wb") as file:
        subprocess.run(["bible", "-f", "Gen1:1-Rev22:21"], stdout=file, check=True)


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), "unknown CPU")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {memory / 2**30:.0f} GiB, Linux {platform.release()}"


def commit():
    command = ["git", "-C", ROOT, "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def rounds_median(rounds, who, warmup):
    """Median over rounds of each round's median step, with the least and greatest round."""
    medians = [statistics.median(r[who]["seconds"][warmup:]) for r in rounds]
    return statistics.median(medians), min(medians), max(medians)


# What is measured, in the order of the first round, and how a table calls it.
LABELS = {"stowage": "Stowage", "pytorch": "PyTorch eager", "compile": "torch.compile"}


def report(record, warmup):
    rounds, config = record["rounds"], record["config"]
    # What a step learns from: tokens, or samples where a sample is no text.
    text = config["model"]["input"] == "auto"
    terms = config["train"]["global_batch"] * (config["model"]["context"] if text else 1)
    rows = {}
    for who in LABELS:
        if who not in rounds[0]:
            continue
        step, least, greatest = rounds_median(rounds, who, warmup)
        rss = statistics.median(r[who]["rss_peak_bytes"] for r in rounds)
        rows[who] = {"step_seconds": step, "least": least, "greatest": greatest, "terms_per_second": terms / step,
                     "rss_peak_bytes": rss}
    ours, theirs = rows["stowage"], [who for who in rows if who != "stowage"]
    speed = {who: rows[who]["step_seconds"] / ours["step_seconds"] for who in theirs}
    rss = {who: ours["rss_peak_bytes"] / rows[who]["rss_peak_bytes"] for who in theirs}
    record["summary"] = {**rows, "speed_ratio": speed["pytorch"],
                         "rss_ratio": rss["pytorch"], "speed_ratios": speed, "rss_ratios": rss}
    lines = [
        f"{record['date']}, {record['machine']}, {record['threads']} threads, commit {record['commit']}, "
        f"torch {rounds[0]['pytorch']['torch']}",
        f"`{record['command']}`",
        "",
        f"| {record['name']}, {config['precision']}, {len(rounds)} rounds "
        f"| seconds a step, median (least-greatest round) | {'tokens' if text else 'samples'}/s | peak RSS |",
        "|---|---|---|---|",
    ]
    for who, r in rows.items():
        lines.append(f"| {LABELS[who]} | {r['step_seconds']:.3f} ({r['least']:.3f}-{r['greatest']:.3f}) "
                     f"| {r['terms_per_second']:,.0f} | {r['rss_peak_bytes'] / 1e6:,.0f} MB |")
    for who in theirs:
        lines.append(f"| Stowage / {LABELS[who]} | | {speed[who]:.3f}x | {rss[who]:.3f}x |")
    if "products" not in rounds[0]:
        return "\n".join(lines)
    bare, bare_least, bare_greatest = rounds_median(rounds, "products", 0)
    record["summary"]["products_seconds"] = bare
    gflops = rounds[0]["products"]["flop"] / bare / 1e9
    rest = ", ".join(f"{LABELS[who]} {r['step_seconds'] - bare:.3f}" for who, r in rows.items())
    lines += [
        f"| bare matrix products | {bare:.3f} ({bare_least:.3f}-{bare_greatest:.3f}) | {gflops:,.0f} GFLOP/s | |",
        f"| a step less its products | {rest} | | |",
    ]
    return "\n".join(lines)


def parse_arguments():
    parser = argparse.ArgumentParser(prog="tools/bench train", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="gpt2_124m", help="a file, or a name in configs/ (default: gpt2_124m)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=12, help="steps each run takes")
    parser.add_argument("--warmup", type=int, default=3, help="first steps of a run that do not count")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--precision", choices=["fp32", "bf16"], help="for both sides; else what the config says")
    parser.add_argument("--compile", action="store_true", help="torch.compile as a third column")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="handed on to stowage train")
    parser.add_argument("--out", help="JSON file for every measured value")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or not 0 <= arguments.warmup < arguments.steps:
        parser.error("--rounds must be at least 1, and --warmup less than --steps")
    if arguments.compile and arguments.warmup < 1:
        parser.error("--compile needs a --warmup of at least 1: the first step compiles")
    return arguments


def main():
    arguments = parse_arguments()
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"Warning: the machine is busy (load {load:.1f}); the times below will say so.", file=sys.stderr)
    record = {
        "date": datetime.date.today().isoformat(), "machine": machine(), "commit": commit(),
        "command": " ".join(["tools/bench train", *sys.argv[1:]]), "threads": arguments.threads,
        "name": os.path.splitext(os.path.basename(arguments.config))[0], "warmup": arguments.warmup, "rounds": [],
    }
    with tempfile.TemporaryDirectory(prefix="stowage-bench-") as folder:
        text = os.path.join(folder, "text.bin")
        write_text(text)
        extra = ["--threads", str(arguments.threads)]
        train_extra = [*extra, "--text", text, "--steps", str(arguments.steps)]
        # The first run resolves the config that PyTorch is then given. It also prepares the text, and is not counted.
        print("warming up", file=sys.stderr)
        _, record["config"] = run_stowage(arguments, arguments.threads, folder)
        for index in range(arguments.rounds):
            result = {}
            order = [who for who in LABELS if who != "compile" or arguments.compile]
            for who in order if index % 2 == 0 else reversed(order):
                if who == "stowage":
                    result[who], _ = run_stowage(arguments, arguments.threads, folder)
                else:
                    compiled = ["--compile"] if who == "compile" else []
                    result[who] = run_python("pytorch_train.py", record["config"], folder, who, train_extra + compiled)
            if record["config"]["model"]["kind"] == "gpt2":
                result["products"] = run_python("matrix_products.py", record["config"], folder, "products", extra)
            record["rounds"].append(result)
            medians = {who: statistics.median(r["seconds"][arguments.warmup if who != "products" else 0:])
                       for who, r in result.items()}
            print(f"round {index + 1} of {arguments.rounds}: "
                  + ", ".join(f"{who} {seconds:.3f} s" for who, seconds in medians.items()), file=sys.stderr)
    print(report(record, arguments.warmup))
    if arguments.out:
        with open(arguments.out, "w", encoding="utf-8") as file:
            json.dump(record, file, indent=1)


if __name__ == "__main__":
    main()
