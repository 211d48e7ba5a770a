"""PyTorch as the judge: the same model, weights, batches and schedule as a Stowage run, in eager PyTorch.

    python reference.py --checkpoint RUN/checkpoints/step-00000001 --train train.stow --threads 2 --out a.json

It runs no code of Stowage's program. It reads a checkpoint's files (manifest.json, safetensors) and a token shard byte
by byte, computes the order of samples from docs/data.md, and trains with what PyTorch's users would take: autograd,
scaled_dot_product_attention, cross_entropy, torch.optim.AdamW(fused=True). What differs from Stowage's run is then
Stowage's doing. Run it with two thread counts to learn how far PyTorch is from itself.

One thing is not as PyTorch's users have it: the norm by which gradients are clipped is summed in fp64, as Stowage's is.
clip_grad_norm_ sums in fp32 and is off by 1e-6 for 3 million parameters, by the same at every thread count. PyTorch's
distance from itself does not show it, while it moves the losses five to ten times as far. --fp32-norm takes it all the
same.

--train is a token shard, or a folder with Fashion-MNIST's files (Debian's package dataset-fashion-mnist has them in
/usr/share/datasets/fashion-mnist).

The config is the checkpoint's own (config.yaml beside its manifest), with --set key=value on top. Dropout must be 0 and
the precision fp32.

The result is JSON: loss, grad_norm (before clipping), lr and seconds of each step; validation_loss with --validation;
and what it was computed with.
"""

import argparse
import json
import math
import os
import struct
import sys
import time

# --- The order of samples (docs/data.md) ------------------------------------------------------------------------------

WORD = (1 << 64) - 1


def mix64(x):
    x = (x + 0x9E3779B97F4A7C15) & WORD
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & WORD
    return x ^ (x >> 31)


def hash_key(*words):
    h = 0
    for word in words:
        h = mix64(h ^ mix64(word & WORD))
    return h


def permuted_index(key, n, i):
    half = 1
    while 4**half < n:
        half += 1
    mask = (1 << half) - 1
    round_keys = [hash_key(key, r) for r in range(8)]
    x = i
    while True:
        left, right = x >> half, x & mask
        for round_key in round_keys:
            left, right = right, left ^ (mix64(round_key ^ right) & mask)
        x = left << half | right
        if x < n:
            return x


def training_samples(tokens, context):
    """Samples in an epoch, and the largest shift."""
    n = max(1, (tokens - context) // context)
    return n, min(context - 1, tokens - 1 - n * context)


def global_batch(seed, tokens, context, batch, step, flush_epochs=False):
    """The first token of each of the step's samples, in order."""
    n, max_shift = training_samples(tokens, context)
    starts = []
    for epoch, index in global_indices(seed, n, batch, step, flush_epochs):
        shift = 0 if epoch == 0 else hash_key(0x73686966, epoch, tokens) % (max_shift + 1)
        starts.append(index * context + shift)
    return starts


def global_indices(seed, n, batch, step, flush_epochs=False):
    """Epoch and index of each of the step's samples of `n`, in order."""
    if flush_epochs:
        steps = -(-n // batch)
        first = step // steps * n + step % steps * batch
        count = min(batch, n - step % steps * batch)
    else:
        first, count = step * batch, batch
    return [(position // n, permuted_index(hash_key(seed, 0x5A3D, position // n), n, position % n))
            for position in range(first, first + count)]


# --- Stowage's files --------------------------------------------------------------------------------------------------


def read_shard(path):
    """The tokens of a .stow file, as a numpy array."""
    import numpy as np
    with open(path, "rb") as f:
        magic, version, width, _, count = struct.unpack("<8sIIQQ", f.read(32))
        if magic != b"STOWTOKS" or version != 1:
            sys.exit(f"{path}: not a Stowage shard of version 1")
        f.seek(64)
        tokens = np.frombuffer(f.read(), dtype={1: np.uint8, 2: np.uint16, 4: np.uint32}[width])
    if len(tokens) != count:
        sys.exit(f"{path}: the header says {count} tokens, the file holds {len(tokens)}")
    return tokens


def read_images(folder, part):
    """Images [n, rows, columns] fp32 in [0, 1] and labels [n] int64, as numpy arrays; part: train or t10k."""
    import gzip
    import numpy as np

    def read(name, dimensions):
        with gzip.open(os.path.join(folder, name)) as f:
            data = f.read()
        if data[:4] != bytes([0, 0, 8, dimensions]):
            sys.exit(f"{name}: not an IDX file of bytes in {dimensions} dimensions")
        shape = struct.unpack(f">{dimensions}I", data[4:4 + 4 * dimensions])
        return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * dimensions).reshape(shape)

    images = read(f"{part}-images-idx3-ubyte.gz", 3).astype(np.float32) / np.float32(255)
    return images, read(f"{part}-labels-idx1-ubyte.gz", 1).astype(np.int64)


def read_weights(checkpoint):
    """The model's parameters of a Stowage checkpoint, by name, as fp32 torch tensors: put together from the byte
    ranges that its manifest lists, whatever number of ranks wrote it."""
    import numpy as np
    import torch
    with open(os.path.join(checkpoint, "manifest.json"), encoding="utf-8") as f:
        manifest = json.load(f)
    weights = {}
    for name, tensor in manifest["tensors"].items():
        if name.startswith("optimizer."):
            continue
        if tensor["dtype"] != "F32":
            sys.exit(f"{checkpoint}: {name} is {tensor['dtype']}, this program reads F32")
        flat = np.empty(math.prod(tensor["shape"]), dtype=np.float32)
        for piece in tensor["ranges"]:
            flat[piece["first"]:piece["first"] + piece["numel"]] = np.fromfile(
                os.path.join(checkpoint, piece["file"]), dtype="<f4", count=piece["numel"], offset=piece["offset"])
        weights[name] = torch.from_numpy(flat.reshape(tensor["shape"]))
    return weights


def read_config(path, sets=()):
    """The resolved config as nested dicts, with "a.b=value" on top."""
    import yaml
    with open(path, encoding="utf-8") as f:
        config = yaml.safe_load(f)
    for item in sets:
        key, _, value = item.partition("=")
        *parents, last = key.split(".")
        section = config
        for parent in parents:
            section = section[parent]
        section[last] = yaml.safe_load(value)
    return config


# --- Model and schedule -----------------------------------------------------------------------------------------------


def make_model(model_config, weights):
    """The model of tools/benchmarks, written as PyTorch's users write them, with these weights."""
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "benchmarks"))
    from pytorch_gpt2 import Gpt2
    if float(model_config["dropout"]) != 0:
        sys.exit("model.dropout: the reference has none; random numbers of two libraries cannot be compared")
    if model_config["kind"] != "gpt2":
        import pytorch_models
        return pytorch_models.make(model_config, weights)
    sizes = [int(model_config[key]) for key in ("layers", "width", "heads", "context", "vocabulary", "ffn")]
    model = Gpt2(*sizes, bias=model_config["bias"], tie=model_config["tie"])
    model.load_stowage(weights)  # another name or shape on either side is an error
    return model


def make_optimizer(optimizer_config, model):
    """AdamW with decay on matrices only."""
    from pytorch_gpt2 import make_optimizer as make_adamw
    if optimizer_config["kind"] != "adamw":
        sys.exit(f"optimizer.kind: {optimizer_config['kind']}; the reference has adamw")
    return make_adamw(model, float(optimizer_config["lr"]), tuple(map(float, optimizer_config["betas"])),
                      float(optimizer_config["eps"]), float(optimizer_config["weight_decay"]))


def learning_rate(optimizer_config, total_steps, step):
    lr, schedule = float(optimizer_config["lr"]), optimizer_config["schedule"]
    warmup, final = int(schedule["warmup_steps"]), float(schedule["final_lr"])
    if step < warmup:
        return lr * (step + 1) / warmup
    if schedule["kind"] == "constant":
        return lr
    if step >= total_steps:
        return final
    x = (step - warmup) / (total_steps - warmup)
    share = 1 - x if schedule["kind"] == "linear" else 0.5 * (1 + math.cos(math.pi * x))
    return final + share * (lr - final)


# --- The run ----------------------------------------------------------------------------------------------------------


def windows(tokens, starts, context):
    """tokens and targets [n, context]."""
    import numpy as np
    import torch
    both = torch.from_numpy(np.stack([tokens[s:s + context + 1] for s in starts]).astype(np.int64))
    return both[:, :-1].contiguous(), both[:, 1:].contiguous()


class TokenBatches:
    """Windows of a token shard, in the order of training."""

    def __init__(self, tokens, context):
        self.tokens, self.context = tokens, context
        self.size = training_samples(len(tokens), context)[0]

    def step(self, seed, batch, step, flush):
        return global_batch(seed, len(self.tokens), self.context, batch, step, flush)

    def read(self, starts):
        return windows(self.tokens, starts, self.context)


class ImageBatches:
    """Images in the shape `shape`, with their labels."""

    def __init__(self, images, labels, shape):
        import torch
        self.inputs, self.targets = torch.from_numpy(images).view(-1, *shape), torch.from_numpy(labels)
        self.size = len(labels)

    def step(self, seed, batch, step, flush):
        return [index for _, index in global_indices(seed, self.size, batch, step, flush)]

    def read(self, indices):
        return self.inputs[indices], self.targets[indices]


def train(config, model, data, steps, micro_batch, on_step=None, fp32_norm=False):
    """Returns one dict a step. `data`: token ids, or batches. A global batch is cut into micro-batches of `micro_batch`
    samples whose gradients are added up, as Stowage does."""
    import torch
    if not hasattr(data, "read"):
        data = TokenBatches(data, int(config["model"]["context"]))
    seed = int(config["run"]["seed"])
    train_config, optimizer_config = config["train"], config["optimizer"]
    batch = int(train_config["global_batch"])
    epochs = train_config.get("epochs")
    if epochs in (None, "none", "auto"):
        flush, total_steps = False, int(train_config["steps"])
    else:
        flush = True
        total_steps = int(epochs) * -(-data.size // batch)
    optimizer = make_optimizer(optimizer_config, model)
    grad_clip = float(optimizer_config["grad_clip"])
    results = []
    for step in range(steps):
        begin = time.perf_counter()
        samples = data.step(seed, batch, step, flush)
        lr = learning_rate(optimizer_config, total_steps, step)
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.zero_grad(set_to_none=True)
        loss_sum = 0.0
        for first in range(0, len(samples), micro_batch):
            part = samples[first:first + micro_batch]
            loss = model(*data.read(part)) * (len(part) / len(samples))
            loss.backward()
            loss_sum += loss.item()
        limit = grad_clip if grad_clip > 0 else math.inf
        if fp32_norm:
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), limit)
        else:
            norm = torch.stack([p.grad.double().square().sum() for p in model.parameters()]).sum().sqrt()
            torch.nn.utils.clip_grads_with_norm_(model.parameters(), limit, norm)
        optimizer.step()
        results.append({"step": step + 1, "loss": loss_sum, "grad_norm": norm.item(), "lr": lr,
                        "seconds": time.perf_counter() - begin})
        if on_step:
            on_step(results[-1])
    return results


def evaluate(model, tokens, context, batch=32):
    """Mean loss over every whole window, once, without shift."""
    import torch
    starts = range(0, (len(tokens) - 1) // context * context, context)
    loss_sum = 0.0
    with torch.no_grad():
        for first in range(0, len(starts), batch):
            part = starts[first:first + batch]
            loss_sum += model(*windows(tokens, part, context)).item() * len(part)
    return loss_sum / len(starts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, help="folder of a Stowage checkpoint: the initial weights")
    parser.add_argument("--train", required=True, help="token shard (.stow), or folder of images, to train on")
    parser.add_argument("--validation", help="token shard to evaluate on at the end")
    parser.add_argument("--config", help="config instead of the checkpoint's config.yaml; it must be resolved")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="over the config")
    parser.add_argument("--steps", type=int, help="steps to take (default: train.steps)")
    parser.add_argument("--micro-batch", type=int, help="sequences a pass (default: train.micro_batch)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fp64", action="store_true", help="compute in fp64 (models of images)")
    parser.add_argument("--fp32-norm", action="store_true", help="clip with clip_grad_norm_ as it is")
    parser.add_argument("--out", help="where the JSON goes (default: standard output)")
    parser.add_argument("--progress", action="store_true", help="a line a step on standard error")
    arguments = parser.parse_args()

    # Before torch starts its threads.
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(arguments.threads)
    import torch
    torch.set_num_threads(arguments.threads)

    config = read_config(arguments.config or os.path.join(arguments.checkpoint, "config.yaml"), arguments.set)
    if config.get("precision", "fp32") != "fp32":
        sys.exit(f"precision: {config['precision']}; the reference computes in fp32")
    model = make_model(config["model"], read_weights(arguments.checkpoint))
    if os.path.isdir(arguments.train):
        data = ImageBatches(*read_images(arguments.train, "train"), config["model"]["input"])
        if arguments.fp64:
            model, data.inputs = model.double(), data.inputs.double()
    else:
        data = read_shard(arguments.train)
    steps = arguments.steps if arguments.steps is not None else int(config["train"]["steps"])
    micro_batch = arguments.micro_batch or int(config["train"]["micro_batch"])
    on_step = None
    if arguments.progress:
        def on_step(r):
            print(f"step {r['step']} loss {r['loss']:.6f} {r['seconds']:.3f} s", file=sys.stderr, flush=True)
    result = {"torch": torch.__version__, "threads": torch.get_num_threads(), "micro_batch": micro_batch,
              "parameters": sum(p.numel() for p in model.parameters()),
              "fp32_norm": arguments.fp32_norm,
              "steps": train(config, model, data, steps, micro_batch, on_step, arguments.fp32_norm)}
    if arguments.validation:
        result["validation_loss"] = evaluate(model, read_shard(arguments.validation), int(config["model"]["context"]))
    text = json.dumps(result, indent=1)
    if arguments.out:
        with open(arguments.out, "w", encoding="utf-8") as f:
            f.write(text + "\n")
    else:
        print(text)


if __name__ == "__main__":
    main()
