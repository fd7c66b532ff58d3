"""The part of `speed.fit` that needs a GPU: steps a second of the wide network."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from tqdm import tqdm

from benchmarks._shared.common import clock, markdown_table, median, verdict
from benchmarks._shared.competitors import ours
from benchmarks._shared.handwritten import handwritten
from benchmarks.speed.fit_workloads import (
    HAND,
    SWAP,
    SWAP_BF16,
    WIDE,
    WIDE_SIZES,
    Workload,
    standardised,
    synthetic_table,
)

NOT_MEASURED = "not measured: no CUDA device"
STEPS = 6_500
"""Target: steps a second of ours."""
BATCH = 128
N_BATCHES = 64
EPOCHS = 33
KINDS = (("float32", SWAP, False), ("TF32", SWAP, True), ("bf16", SWAP_BF16, False))


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Let products of float32 be TF32, or not, within a `with` block."""
    settings = torch.backends.cuda.matmul
    before = settings.allow_tf32
    settings.allow_tf32 = allowed
    try:
        yield
    finally:
        settings.allow_tf32 = before


def steps_a_second(args: argparse.Namespace) -> str:
    """Return a table of steps a second in three precisions, and of the target."""
    layers = "-".join(map(str, WIDE_SIZES))
    title = f"## steps a second on a GPU: {layers}, batch {BATCH}, swap noise"
    if not torch.cuda.is_available():
        return f"{title}\n\n{NOT_MEASURED}"
    rows, lines = [], []
    for precision, extras, allowed in tqdm(KINDS, desc="gpu"):
        options = {"extras": extras, "device": "cuda", "bottleneck": False}
        competitors = {
            HAND: functools.partial(handwritten, **options),
            WIDE: functools.partial(ours, **options),
        }
        with tf32(allowed):
            speeds = _speeds(competitors, args)
        rows.append((precision, *(f"{speed:,.0f}" for speed in speeds.values())))
        what, unit = f"{WIDE}, {precision}", " steps a second"
        lines.append(verdict(what, speeds[WIDE], ">=", STEPS, ",.0f", unit))
    title += f", {torch.cuda.get_device_name()}"
    table = markdown_table(("products", HAND, WIDE), rows)
    return "\n\n".join((title, table, "\n".join(lines)))


def _speeds(competitors: dict, args: argparse.Namespace) -> dict[str, float]:
    """Let them take turns; what a fit does once is taken off, see `Workload`."""
    workload = Workload(
        "gpu",
        "SYNTHETIC",
        standardised(synthetic_table(N_BATCHES * BATCH)),
        WIDE_SIZES,
        BATCH,
        EPOCHS,
        competitors,
        steps_only=True,
    )
    ticks = clock("wall")
    seconds: dict[str, list[float]] = {name: [] for name in competitors}
    for name in competitors:
        workload.run(name, args.activation, ticks, epochs=1)
    for repetition in range(args.repetitions):
        for name, measured in seconds.items():
            torch.manual_seed(repetition)
            measured.append(workload.measure(name, args.activation, ticks)[0])
    return {name: workload.steps / median(each) for name, each in seconds.items()}
