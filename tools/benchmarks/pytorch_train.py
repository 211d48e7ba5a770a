"""The PyTorch side of tools/bench train: trains the model of a resolved Stowage config and writes what it measured as JSON.

Tokens are random crops of a text's bytes; images are Fashion-MNIST's, all of them in memory, drawn at random. The config's
`precision: bf16` is torch.autocast in bf16; with --compile the model goes through torch.compile.
"""

import argparse
import gzip
import json
import os
import time

import torch

import pytorch_models
from pytorch_gpt2 import Gpt2, learning_rate, make_optimizer, train_step

FASHION_MNIST = "/usr/share/datasets/fashion-mnist"


def read_bytes(path):
    with open(path, "rb") as file:
        return torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)


def crops(text, batch, context, generator):
    """Random windows of context + 1 bytes: (tokens, targets), [batch, context] int64 each."""
    starts = torch.randint(len(text) - context - 1, (batch,), generator=generator)
    rows = torch.stack([text[s:s + context + 1] for s in starts.tolist()]).long()
    return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


class TextBatches:
    def __init__(self, path, context):
        self.text, self.context = read_bytes(path), context

    def draw(self, batch, generator):
        return crops(self.text, batch, self.context, generator)


class ImageBatches:
    def __init__(self, shape):
        def read(name, header):
            with gzip.open(os.path.join(FASHION_MNIST, name)) as file:
                return torch.frombuffer(bytearray(file.read()[header:]), dtype=torch.uint8)
        self.labels = read("train-labels-idx1-ubyte.gz", 8)
        self.images = read("train-images-idx3-ubyte.gz", 16).view(-1, *shape)

    def draw(self, batch, generator):
        which = torch.randint(len(self.labels), (batch,), generator=generator)
        return self.images[which].float() / 255, self.labels[which].long()


def make_model(model_config):
    if model_config["kind"] != "gpt2":
        return pytorch_models.build(model_config)
    sizes = (model_config[key] for key in ("layers", "width", "heads", "context", "vocabulary", "ffn", "bias", "tie"))
    return Gpt2(*sizes)


def peak_rss_bytes():
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmHWM")


def measure(config, text_path, steps, compiled=False):
    """Trains `steps` steps; a dict of seconds per step, losses and the process's peak resident bytes."""
    model_config, train, optimizer_config = config["model"], config["train"], config["optimizer"]
    torch.manual_seed(int(config["run"]["seed"]))
    model = make_model(model_config)
    peak_lr = float(optimizer_config["lr"])
    optimizer = make_optimizer(model, peak_lr, tuple(float(b) for b in optimizer_config["betas"]),
                               float(optimizer_config["eps"]), float(optimizer_config["weight_decay"]))
    schedule = optimizer_config["schedule"]
    step_model = torch.compile(model) if compiled else model  # compiles within the first step
    bf16 = config.get("precision", "fp32") == "bf16"
    generator = torch.Generator().manual_seed(1)
    data = (TextBatches(text_path, model_config["context"]) if model_config["input"] == "auto"
            else ImageBatches(model_config["input"]))
    micro = train["micro_batch"]
    seconds, losses = [], []
    for step in range(1, steps + 1):
        start = time.perf_counter()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, train["steps"], peak_lr, schedule["warmup_steps"],
                                        float(schedule["final_lr"]))
        batches = [data.draw(min(micro, train["global_batch"] - done), generator)
                   for done in range(0, train["global_batch"], micro)]
        losses.append(train_step(step_model, optimizer, batches, float(optimizer_config["grad_clip"]), bf16))
        seconds.append(time.perf_counter() - start)
    return {"seconds": seconds, "losses": losses, "rss_peak_bytes": peak_rss_bytes(),
            "threads": torch.get_num_threads(), "torch": torch.__version__}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="a resolved config as JSON")
    parser.add_argument("--text", required=True, help="file whose bytes are the tokens")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--compile", action="store_true", help="through torch.compile; the first step compiles")
    parser.add_argument("--out", required=True, help="JSON with what was measured")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with open(arguments.config, encoding="utf-8") as file:
        config = json.load(file)
    result = measure(config, arguments.text, arguments.steps, arguments.compile)
    with open(arguments.out, "w", encoding="utf-8") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
