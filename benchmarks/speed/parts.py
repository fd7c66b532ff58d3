"""Where a fit at the defaults spends its time, and what its matrix products alone take.

    python -m benchmarks.speed.parts
    python -m benchmarks.speed.parts --fits "digits, VAE" --repetitions 1

A fit is interrupted after each few milliseconds of processor time, and what it is in
the midst of is counted: the parts are fractions of these samples. The floor is measured
apart, between two fits: the same products, of as many rows and as many times, into
memory that is there already, by the library that the package would take.
"""

from __future__ import annotations

import linecache
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
import torch

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.data import adult, digits, some_rows
from benchmarks._shared.report import document, mean, median, number, publish, tabulate
from benchmarks._shared.timing import load_note, timed
from benchmarks.speed.fit_workloads import curved_table
from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)

K = 10
INTERVAL = 0.001
"""Seconds between two samples, if the system can; many take four times as long."""
CLOSE = 1.01
"""Of the validation loss that is kept: what comes so close is as good."""
LEAST_FOR_TORCH = 500_000
"""Multiply-adds of a product from which on it is torch's, else it is numpy's: see
docs/development/decisions/0043-products-by-size.md."""
N_CALLS = 100

PRODUCTS, ACTIVATION = "matrix products, biases", "activation and its gradient"
AUTOGRAD, LOSS = "gradients by autograd", "inputs, loss and its gradient"
NOISE, BATCHES = "noise and other draws", "batches"
OPTIMIZER, WEIGHTS = "optimizer", "clipping and averaging"
OTHER = "the rest of the steps"
VALIDATION, EPOCHS = "validation", "the rest of the epochs"
AROUND = "before and after: start, guard, moments"
PARTS = (
    *(PRODUCTS, ACTIVATION, AUTOGRAD, LOSS, NOISE, BATCHES, OPTIMIZER, WEIGHTS, OTHER),
    *(VALIDATION, EPOCHS, AROUND),
)

PHASES = {"validate": VALIDATION, "_take_steps": "", "_run_epoch": EPOCHS}
"""By a function of a run; the innermost one counts, and "" is a step."""
FUNCTIONS = {
    "silu": ACTIVATION,
    "layer_norm": ACTIVATION,
    "binary_cross_entropy_with_logits": LOSS,
    "_engine_run_backward": AUTOGRAD,
    "swapped": LOSS,
    "seen": NOISE,
    "rsample_with_vjp": NOISE,
    "noisy": NOISE,
}
"""What a function of a step is a part of."""
FILES = {
    "torch_compat.py": ACTIVATION,
    "linear.py": PRODUCTS,
    "adam.py": OPTIMIZER,
    "weights.py": WEIGHTS,
    "batches.py": BATCHES,
}
CALLED = ("dot", "mm", "addmm", "add_")
"""The calls of a dense layer that are products, or add a bias."""


class Fit(NamedTuple):
    """One fit.

    Attributes
    ----------
    seconds : float
    parts : Counter
        Samples of each part.
    products : float
        Seconds of the products alone.
    n_steps : float
    n_epochs : int
    close : float
        Fraction of the epochs up to the first whose validation loss is close to that
        which is kept; NaN where PCA is, and of losses in nats, which have no zero.
    """

    seconds: float
    parts: Counter[str]
    products: float
    n_steps: float
    n_epochs: int
    close: float

    def of_parts(self, part: str) -> float:
        """Return the fraction of the time of a part."""
        return self.parts[part] / self.parts.total()


def fits() -> dict[str, tuple[Callable[..., Any], np.ndarray]]:
    """Return what is fitted, and to which rows."""
    autoencoder = partial(AutoEncoderTransformer, K)
    denoiser = DenoisingAutoEncoderTransformer
    X, table = digits(Path()), some_rows(adult(Path()), 2_000)
    return {
        "digits, autoencoder": (autoencoder, X),
        "digits, VAE": (partial(VAETransformer, K), X),
        "digits, denoiser": (partial(denoiser, K), X),
        "digits, hidden features": (partial(denoiser, features="hidden"), X),
        "4,500 x 66": (autoencoder, curved_table(4_500, 66)),
        "Adult, 2,000 x 107": (autoencoder, table),
        "3,000 x 506": (autoencoder, curved_table(3_000, 506)),
    }


# ------------------------------------------------------------------- what is sampled


def frames(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield a frame and those that called it."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def part_of(frame: FrameType | None) -> str:
    """Return the part that a fit is in the midst of."""
    stack = list(frames(frame))
    phases = (PHASES.get(one.f_code.co_name) for one in stack)
    phase = next((found for found in phases if found is not None), AROUND)
    if phase:
        return phase
    return next(filter(None, map(_part_of_step, stack)), OTHER)


def _part_of_step(frame: FrameType) -> str | None:
    """Return the part of one of the calls of a step, None where others decide."""
    path, name = Path(frame.f_code.co_filename), frame.f_code.co_name
    if path.parent.name == "fast":
        # Calls that were made up in advance; others are told by their line.
        called = getattr(frame.f_locals.get("call"), "func", None)
        line = linecache.getline(str(path), frame.f_lineno)
        if getattr(called, "__name__", "") in CALLED or "mm(" in line or "mm_(" in line:
            return PRODUCTS
        return None
    if path.parent.name == "_objectives":
        return NOISE
    if path.parent.name == "_columns":
        return LOSS
    return FUNCTIONS.get(name) or FILES.get(path.name)


@contextmanager
def sampled() -> Iterator[Counter[str]]:
    """Count the parts that the block is in the midst of, as its time goes by."""
    parts: Counter[str] = Counter()

    def note(_: int, frame: FrameType | None) -> None:
        parts[part_of(frame)] += 1

    before = signal.signal(signal.SIGPROF, note)
    signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)
    try:
        yield parts
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


# ------------------------------------------------------------------------- the floor


def products(module: Any, n_rows: int) -> list[Callable[[], object]]:
    """Return the products of a step: forwards, and of both gradients.

    Parameters
    ----------
    module : torch.nn.Module
        Fitted. Its first layer's inputs have no gradient.
    n_rows : int
        Of a batch.
    """
    calls = []
    linears = [m for m in module.modules() if isinstance(m, torch.nn.Linear)]
    for i, linear in enumerate(linears):
        weight = linear.weight.detach()
        n_out, n_in = weight.shape
        x, y = torch.randn(n_rows, n_in), torch.randn(n_rows, n_out)
        calls += [product(x, weight.t(), linear.bias.detach()), product(y.t(), x)]
        if i:
            calls.append(product(y, weight))
    axes = getattr(module.decoder, "axes", None)
    if axes is not None:  # the linear part of both networks
        x, code = torch.randn(n_rows, axes.shape[1]), torch.randn(n_rows, len(axes))
        calls += [product(x, axes.t()), product(code, axes), product(x, axes.t())]
    return calls


def product(x: Any, y: Any, bias: Any = None) -> Callable[[], object]:
    """Return a call that writes a product, as the package would."""
    out = torch.empty(x.shape[0], y.shape[1])
    if x.shape[0] * x.shape[1] * y.shape[1] < LEAST_FOR_TORCH:
        return partial(np.dot, x.numpy(), y.numpy(), out=out.numpy())
    if bias is not None:
        return partial(torch.addmm, bias, x, y, out=out)
    return partial(torch.mm, x, y, out=out)


def seconds_of(calls: list[Callable[[], object]]) -> float:
    """Return the seconds that all of them take together, a median."""

    def every() -> None:
        for call in calls:
            call()

    with torch.inference_mode():
        every()
        return median(timed(time.process_time, every)[0] for _ in range(N_CALLS))


# ------------------------------------------------------------------------ the report


def measure(make: Callable[..., Any], X: np.ndarray, seed: int) -> Fit:
    """Fit once, with samples, and time the products alone."""
    reducer = make(device="cpu", random_state=seed)
    with sampled() as parts:
        seconds, _ = timed(time.process_time, reducer.fit, X)
    net = reducer.net_
    train, _ = net.get_split_datasets(X)
    n_epochs, size = len(reducer.history_), net.batch_size
    n_steps = n_epochs * len(train) / size
    step = seconds_of(products(net.module_, size))
    curve, best = np.array(reducer.validation_loss_curve_), reducer.best_epoch_
    close = np.nan
    in_nats = isinstance(reducer, VAETransformer)
    if best and not (in_nats or getattr(reducer, "fell_back_to_pca_", False)):
        close = (1 + np.argmax(curve <= CLOSE * curve[best - 1])) / n_epochs
    return Fit(seconds, parts, step * n_steps, n_steps, n_epochs, float(close))


def report(found: dict[str, list[Fit]]) -> str:
    """Return the parts of each fit, and its floor."""

    def percent(values: Iterator[float]) -> str:
        return f"{mean(values):.0%}"

    parts = {"part": str} | {
        name: lambda part, own=own: percent(fit.of_parts(part) for fit in own)
        for name, own in found.items()
    }
    floor: dict[str, Callable[[str], str]] = {
        "fit": str,
        "steps": lambda name: f"{median(fit.n_steps for fit in found[name]):,.0f}",
        "µs a step, all of the fit": lambda name: (
            f"{median(1e6 * fit.seconds / fit.n_steps for fit in found[name]):,.0f}"
        ),
        "products alone / fit": lambda name: number(
            median(fit.products / fit.seconds for fit in found[name]), 2
        ),
        "within 1 % after, of its epochs": lambda name: number(
            median(fit.close for fit in found[name]), 2
        ),
    }
    return document(tabulate(PARTS, parts), tabulate(found, floor))


def main() -> None:
    """Run the benchmark from the command line."""
    every = fits()
    parser = command_line(__doc__)
    add = parser.add_argument
    add("--fits", nargs="+", choices=list(every), default=list(every))
    add("--repetitions", type=int, default=3, help="seeds of each (default 3)")
    args = parse(parser)
    found = {}
    for name in args.fits:
        make, X = every[name]
        make(device="cpu", random_state=0, max_epochs=1).fit(X)  # loads code
        found[name] = [measure(make, X, seed) for seed in range(args.repetitions)]
    title = (
        "# Where default fits spend their time: one thread, seeds: "
        f"{args.repetitions} ({load_note()})"
    )
    publish(args.write, title, report(found))


if __name__ == "__main__":
    main()
