"""The tables and verdicts of `density.run`, of its lines of results."""

from __future__ import annotations

import math

from benchmarks._shared.report import markdown_table, mean, number, verdict
from benchmarks._shared.results import Line, means_by
from benchmarks.density.methods import TOLD

OURS = ("VAE", "VAE, mixture")
RIVALS = ("GMM", "KDE")
CLOSE = 0.05
"""Nats that a score may be below PCA's."""
FAR = 1.0
"""Nats above PCA's that count."""

Means = dict[tuple, dict[str, float]]


def means_of(lines: list[Line], reading: str) -> Means:
    """Average values over seeds, by set, components and method."""
    some = [line for line in lines if line.units == reading]
    return means_by(some, lambda line: (line.name, line.k, line.run))


def _cases(means: Means) -> list[tuple[str, int]]:
    return list(dict.fromkeys((name, k) for name, k, run in means if run == OURS[0]))


def _score(means: Means, name: str, k: int, run: str) -> float:
    return means.get((name, k, run), {}).get("score", math.nan)


def chosen(means: Means) -> dict[str, tuple[int, str]]:
    """Choose k and the prior for each set by the rows that training held out."""
    best: dict[str, tuple[float, int, str]] = {}
    for name, k in _cases(means):
        for run in OURS:
            held_out = means[name, k, run]["held_out"]
            if name not in best or held_out > best[name][0]:
                best[name] = held_out, k, run
    return {name: (k, run) for name, (_, k, run) in best.items()}


def _by_components(means: Means) -> str:
    """Tabulate the scores with each number of components."""
    rows = []
    for name, k in _cases(means):
        ours = means[name, k, OURS[0]]
        cells = [_score(means, name, k, run) for run in ("PCA", *OURS)]
        cells += [_score(means, name, 0, run) for run in RIVALS]
        active = f"{ours['active']:g} of {k}"
        kept = "yes" if ours["best"] == 0 else "no"
        bound = number(ours["bound"], 2)
        numbers = [number(cell, 2) for cell in cells]
        rows.append((name, str(k), *numbers, bound, active, kept))
    header = ("set", "k", "PCA", *OURS, *RIVALS, "VAE, bound", "active", "PCA kept")
    return markdown_table(header, rows)


def _by_choice(means: Means) -> tuple[str, dict[str, int]]:
    """Tabulate the scores of the chosen fits; count where they beat the rivals."""
    rows, over = [], dict.fromkeys((*RIVALS, "both"), 0)
    for name, (k, run) in chosen(means).items():
        ours = _score(means, name, k, run)
        others = [_score(means, name, 0, rival) for rival in RIVALS]
        for rival, other in zip(RIVALS, others, strict=True):
            over[rival] += ours > other
        over["both"] += all(ours > other for other in others)
        scores = [_score(means, name, k, "PCA"), ours, *others]
        rows.append((name, str(k), run, *(number(score, 2) for score in scores)))
    header = ("set", "chosen k", "prior", "PCA", "VAE", *RIVALS)
    return markdown_table(header, rows), over


def _targets(means: Means, over: dict[str, int], n_sets: int) -> list[str]:
    """List which targets are met, in the reading that ranks."""
    gaps, told, alive = {}, 0, 0
    for name, k in _cases(means):
        pca = means[name, k, "PCA"]
        gaps[name, k] = _score(means, name, k, OURS[0]) - pca["score"]
        if pca["last"] > TOLD:
            told += 1
            alive += means[name, k, OURS[0]]["active"] == k
    values = list(gaps.values())
    worst = min(gaps, key=lambda case: gaps[case])
    far = mean(gap > FAR for gap in values)
    lines = [
        verdict(
            f"least nats above PCA ({worst[0]}, k = {worst[1]})",
            min(values),
            ">=",
            -CLOSE,
        ),
        verdict("share of cases over 1 nat above PCA", far, ">=", 0.5),
        verdict("sets above both rivals, share", over["both"] / n_sets, ">=", 0.5),
        *(f"- sets above {rival}: {over[rival]} of {n_sets}" for rival in RIVALS),
    ]
    share = alive / told if told else math.nan
    what = f"cases of {told} that keep all components where PCA's last tells 1 %"
    return [*lines, verdict(f"share of {what}", share, ">=", 1.0)]


def density_report(lines: list[Line], note: str) -> list[str]:
    """Return the tables of both readings, and the verdicts on the one that ranks."""
    parts = [f"# Held-out log density, nats a row, one thread ({note})"]
    for reading in dict.fromkeys(line.units for line in lines):
        means = means_of(lines, reading)
        what = "as the data are" if reading == "as is" else "with noise of 0.1"
        parts += [f"## {what.capitalize()}", _by_components(means)]
        table, over = _by_choice(means)
        parts.append(table)
        if reading == "noise":
            n_sets = len({name for name, _ in _cases(means)})
            parts.append("\n".join(_targets(means, over, n_sets)))
    return parts


def samples_report(lines: list[Line], note: str) -> list[str]:
    """Return the table of the drawn rows."""
    means = means_of(lines, "as is")
    rows = []
    for name, k in _cases(means):
        runs = [(k, run) for run in OURS] + [(0, "GMM"), (0, "columns")]
        found = [means.get((name, size, run), {}) for size, run in runs]
        cells = [number(f.get(what), 2) for what in ("auc", "nearest") for f in found]
        rows.append((name, str(k), *cells))
    runs = (*OURS, "GMM", "columns alone")
    header = ("set", "k", *(f"AUC: {r}" for r in runs), *(f"near: {r}" for r in runs))
    title = f"# Drawn rows against held-out ones ({note})"
    return [title, markdown_table(header, rows)]
