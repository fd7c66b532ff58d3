"""The part of `speed.fit` that needs a GPU: steps a second of the wide network."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from tqdm import tqdm

from benchmarks._shared.handwritten import Extras, Job
from benchmarks._shared.report import document, markdown_table, verdict
from benchmarks._shared.timing import seconds
from benchmarks.speed.fit_workloads import (
    HAND,
    SWAP,
    SWAP_BF16,
    WIDE,
    WIDE_SIZES,
    Workload,
    standardized,
    synthetic_table,
    wide_pair,
)

NOT_MEASURED = "not measured: no CUDA device"
STEPS = 6_500
"""Target: steps a second of ours."""
BATCH = 128
N_BATCHES = 64
EPOCHS = 17
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
        return document(title, NOT_MEASURED)
    rows, lines = [], []
    for precision, extras, allowed in tqdm(KINDS, desc="gpu"):
        with tf32(allowed):
            speeds = _speeds(extras, args)
        rows.append((precision, *(f"{speed:,.0f}" for speed in speeds.values())))
        what, unit = f"{WIDE}, {precision}", " steps a second"
        lines.append(verdict(what, speeds[WIDE], ">=", STEPS, ",.0f", unit))
    title += f", {torch.cuda.get_device_name()}"
    table = markdown_table(("products", HAND, WIDE), rows)
    return document(title, table, "\n".join(lines))


def _speeds(extras: Extras, args: argparse.Namespace) -> dict[str, float]:
    """Let both take turns; what a fit does once is taken off, see `Workload`."""
    X = standardized(synthetic_table(N_BATCHES * BATCH))
    job = Job(X, WIDE_SIZES, args.activation, BATCH, EPOCHS, device="cuda")
    pair = dict(zip((HAND, WIDE), wide_pair(extras), strict=True))
    workload = Workload("gpu", "SYNTHETIC", job, pair, steps_only=True)
    turns = workload.measure(args.repetitions)
    return {name: workload.steps / seconds(turns, name) for name in turns}
