"""ONNX models: how long they take to make, how exact they are, how fast they run.

Each estimator is fitted for five epochs on the digits, 8 x 8 images, and exported in
float32 and in float64. Disagreement is the largest difference between a result of the
model and of the method, over the largest value; seconds are those of one sample and of
all, in ONNX Runtime and by the method, on one thread.

    python -m benchmarks.speed.export
    python -m benchmarks.speed.export --repetitions 20
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from benchmarks._shared.command import command_line, parse
from benchmarks._shared.report import median, number, publish, tabulate
from benchmarks._shared.timing import load_note, timed

N_COMPONENTS = 10


def cases() -> dict[str, tuple[Any, str]]:
    """Return estimators and their methods, by name."""
    from sk_autoencoder import AutoEncoderTransformer, VAETransformer
    from sk_autoencoder.networks import ConvNet, RecurrentNet

    same: dict[str, Any] = {"max_epochs": 5, "random_state": 0}
    default = AutoEncoderTransformer(N_COMPONENTS, **same)
    conv = AutoEncoderTransformer(N_COMPONENTS, network=ConvNet((1, 8, 8)), **same)
    recurrent = AutoEncoderTransformer(
        N_COMPONENTS, network=RecurrentNet((8, 8)), **same
    )
    vae = VAETransformer(N_COMPONENTS, **same)
    return {
        "default": (default, "transform"),
        "default, back": (default, "inverse_transform"),
        "ConvNet": (conv, "transform"),
        "RecurrentNet": (recurrent, "transform"),
        "VAE": (vae, "transform"),
        "VAE, density": (vae, "score_samples"),
    }


def measure(
    name: str, case: tuple[Any, str], X: np.ndarray, repetitions: int
) -> dict[str, Any]:
    """Export a method of an estimator, and run it and its model."""
    import onnxruntime

    from sk_autoencoder.export import to_onnx

    (estimator, method), clock = case, time.perf_counter
    if not hasattr(estimator, "n_components_"):
        estimator.fit(X)
    rows = estimator.transform(X) if method == "inverse_transform" else X
    makes = [
        timed(clock, lambda: to_onnx(estimator, method=method, dtype=X.dtype))
        for _ in range(3)
    ]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(makes[0][1].SerializeToString(), options)
    (value,), call = session.get_inputs(), getattr(estimator, method)
    found = {"name": name, "dtype": X.dtype.name, "made": median(m[0] for m in makes)}
    for some, n in (("one", 1), ("all", len(rows))):
        part = {value.name: rows[:n]}
        turns = [
            (
                timed(clock, session.run, None, part)[0],
                timed(clock, call, rows[:n])[0],
            )
            for _ in range(repetitions)
        ]
        found[f"{some}_onnx"], found[f"{some}_own"] = map(
            median, zip(*turns, strict=True)
        )
    expected = call(rows)
    gap = np.abs(session.run(None, {value.name: rows})[0] - expected).max()
    return {**found, "gap": float(gap / np.abs(expected).max())}


def main() -> None:
    """Measure all cases, and print them."""
    parser = command_line(__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    args = parse(parser)
    X = load_digits().data
    every = cases()
    found = [
        measure(name, case, X.astype(dtype), args.repetitions)
        for name, case in every.items()
        for dtype in (np.float32, np.float64)
    ]
    table = tabulate(
        found,
        {
            "model": lambda r: r["name"],
            "dtype": lambda r: r["dtype"],
            "seconds to make": lambda r: number(r["made"], 2),
            "disagreement": lambda r: f"{r['gap']:.0e}",
            "one sample, ms": lambda r: number(1e3 * r["one_onnx"]),
            "by the method": lambda r: number(1e3 * r["one_own"]),
            "all, ms": lambda r: number(1e3 * r["all_onnx"], 1),
            "by the method ": lambda r: number(1e3 * r["all_own"], 1),
        },
    )
    publish(args.write, f"{len(X)} samples; {load_note()}", table)


if __name__ == "__main__":
    main()
