"""The time of a training step's matrix products alone: the floor under any implementation of the step.

Every product of forward and backward at the step's shapes, each layer with matrices of its own (so that they come from
memory as they do in training), into outputs that lie ready. No bias, no activation, no copy. Attention's products are
taken whole, without what the causal mask would save. In fp32 or bf16, as the config's `precision` says.
"""

import argparse
import json
import time

import torch


def products(model, rows):
    """The step's linear maps as (out features, in features), and its attention as (batch * heads, T, head width)."""
    width, hidden = model["width"], model["ffn"]
    linear = []
    for _ in range(model["layers"]):
        linear += [(3 * width, width), (width, width), (hidden, width), (width, hidden)]
    linear.append((model["vocabulary"], width))
    attention = (rows // model["context"] * model["heads"], model["context"], width // model["heads"])
    return linear, [attention] * model["layers"]


def flop(linear, attention, rows):
    """Floating-point operations of all products below."""
    return (sum(3 * 2 * rows * out * into for out, into in linear)
            + sum(6 * 2 * batch * length * length * head for batch, length, head in attention))


def measure(model, rows, repeats, dtype=torch.float32):
    """Seconds for one micro-batch of `rows` tokens, forward and backward, `repeats` times after one to warm up."""
    linear, attention = products(model, rows)
    def randn(*shape):
        return torch.randn(*shape).to(dtype)

    def empty(*shape):
        return torch.empty(*shape, dtype=dtype)

    weights = [(randn(o, i) * 0.02, empty(o, i)) for o, i in linear]
    activations = {}
    for out, into in linear:
        for size in (out, into):
            if size not in activations:
                activations[size] = (randn(rows, size), empty(rows, size))
    heads = [(randn(b, t, h), empty(b, t, h), randn(b, t, t), empty(b, t, t)) for b, t, h in attention[:1]]
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        for (out, into), (weight, gradient) in zip(linear, weights):
            x, dx = activations[into]
            dy, y = activations[out]
            torch.mm(x, weight.t(), out=y)
            torch.mm(dy, weight, out=dx)
            torch.mm(dy.t(), x, out=gradient)
        for _ in attention:
            q, out_q, scores, out_scores = heads[0]
            for _ in range(2):  # scores and dP: [T, H] x [H, T]
                torch.bmm(q, q.transpose(1, 2), out=out_scores)
            for _ in range(4):  # output, dV, dQ, dK: [T, T] x [T, H]
                torch.bmm(scores, q, out=out_q)
        seconds.append(time.perf_counter() - start)
    return seconds[1:], flop(linear, attention, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="a resolved config as JSON")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--out", required=True, help="JSON with what was measured")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with open(arguments.config, encoding="utf-8") as file:
        config = json.load(file)
    micro = config["train"]["micro_batch"]
    passes = config["train"]["global_batch"] / micro
    dtype = torch.bfloat16 if config.get("precision", "fp32") == "bf16" else torch.float32
    seconds, step_flop = measure(config["model"], micro * config["model"]["context"], arguments.repeats, dtype)
    with open(arguments.out, "w", encoding="utf-8") as file:
        json.dump({"seconds": [s * passes for s in seconds], "flop": step_flop * passes}, file)


if __name__ == "__main__":
    main()
