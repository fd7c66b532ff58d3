"""The columns of a table: scores, gradients and ranks."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import special, stats
from sklearn.preprocessing import QuantileTransformer

from sk_autoencoder import AutoEncoderTransformer, DenoisingAutoEncoderTransformer
from sk_autoencoder._columns import JoinedColumns, Table
from sk_autoencoder._columns.frames import ColumnData, read_columns
from sk_autoencoder._columns.kinds import NumberColumn
from sk_autoencoder._columns.level_codes import MOST_LOGITS, RandomCodeColumn
from sk_autoencoder._training.fast.fused import FusedStep, fast_step
from sk_autoencoder._training.weights import FlatParameters
from sk_autoencoder._utils.float64_buffers import in_dtype
from sk_autoencoder._utils.random import make_generator

PLAIN, DENOISING = AutoEncoderTransformer, DenoisingAutoEncoderTransformer
READING = {
    "categorical_features": "from_dtype",
    "scaling": "auto",
    "column_weights": None,
    "allow_missing": False,
    "handle_unknown": "ignore",
}
KINDS = ["number", "whole", "pair", "few", "many"]


def mixed(n=300, *, gaps=False, n_many=100, seed=0):
    """Make a frame of every kind of column, one of them of more than 64 levels."""
    rng = np.random.default_rng(seed)
    many = np.array([f"m{i:04d}" for i in range(n_many)])
    factor = rng.normal(size=n)
    few = np.digitize(factor + rng.normal(size=n), [-1, 0, 1.3])
    frame = pd.DataFrame(
        {
            "number": 5 + 3 * factor + rng.normal(size=n),
            "whole": rng.poisson(np.exp(factor)),
            "pair": factor > rng.normal(0.8, 1, size=n),
            "few": pd.Categorical(np.array(list("wxyz"))[few]),
            "many": rng.permutation(np.resize(many, n)),
        }
    )
    if gaps:
        frame = frame.astype({"whole": "Int64", "pair": "boolean"})
        frame = frame.mask(rng.random(frame.shape) < 0.2)
    return frame


def table_of(frame, **reading):
    return Table.of(frame, **(READING | reading))


def columns_of(frame, **reading):
    """Return columns in float64, in training, and the rows as they take them."""
    table = table_of(frame, **reading)
    columns = in_dtype(JoinedColumns(table), torch.float64).train()
    return columns, torch.from_numpy(table.matrix(frame)).double()


# -- scores and gradients -------------------------------------------------------------

TABLES = {kind: ([kind, "number"], {}, {}) for kind in KINDS}
TABLES |= {
    "all": (KINDS, {}, {}),
    "over 1024 levels": (KINDS, {"n": 1500, "n_many": 1100}, {}),
    "gaps": (KINDS, {"gaps": True}, {"allow_missing": True}),
    "weights": (
        KINDS,
        {},
        {"column_weights": {"number": 0, "few": 0, "many": 0.5, "pair": 3}},
    ),
    "rank_gauss": (KINDS, {}, {"scaling": "rank_gauss"}),
    "minmax": (KINDS, {}, {"scaling": "minmax"}),
}
tables = pytest.mark.parametrize("name", TABLES)


def table_named(name):
    names, how, reading = TABLES[name]
    return mixed(**how)[list(dict.fromkeys(names))], reading


@tables
def test_the_gradient_of_each_part_is_that_of_autograd(name):
    frame, reading = table_named(name)
    columns, rows = columns_of(frame, **reading)
    x = rows[:60]
    raw = torch.randn(
        (60, columns.n_outputs), generator=make_generator(0), dtype=torch.float64
    ).requires_grad_()
    expected = columns.loss(raw, x) / 1.7
    expected.backward()
    loss, gradient = columns.loss_and_gradient(raw.detach(), x, 1.7)
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    torch.testing.assert_close(gradient, raw.grad, rtol=1e-10, atol=1e-14)
    assert (gradient != 0).double().mean() > 0.2


@tables
def test_the_gradient_through_the_start_is_that_of_autograd(name):
    frame, reading = table_named(name)
    columns, _ = columns_of(frame, **reading)
    spread = columns.input_spread[: columns.n_outputs] * columns.to_pca_space
    columns.set_pca(0.7 * spread.square().numpy(), 0.0)
    generator = make_generator(0)
    shape = (60, columns.n_outputs)
    y = torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_()
    gradient = torch.randn(shape, generator=generator, dtype=torch.float64)
    columns.link(y).backward(gradient)
    by_hand = columns.link_vjp(gradient, y.detach())
    torch.testing.assert_close(by_hand, y.grad, rtol=1e-10, atol=1e-14)


def test_the_mean_row_scores_one_in_every_column_and_weights_share_that_out():
    frame = mixed()
    columns, x = columns_of(frame)
    start = columns.link(x.new_zeros((len(x), columns.n_outputs)))
    assert columns.eval().loss(start, x).item() == pytest.approx(1)
    weights = {"few": 3.0, "number": 0.0}
    columns, x = columns_of(frame, column_weights=weights)
    columns.eval()
    raw = torch.randn(start.shape, generator=make_generator(0), dtype=torch.float64)
    by_kind = {}
    for part, own in columns._split(raw):
        losses = part.cell_losses(own, part.of(x)).mean(dim=0).tolist()
        by_kind |= zip([KINDS[i] for i in part.index], losses, strict=True)
    for kind in ("pair", "few", "many"):
        by_kind[kind] /= stats.entropy(frame[kind].value_counts())
    total = sum(weights.get(k, 1.0) * loss for k, loss in by_kind.items())
    assert columns.loss(raw, x).item() == pytest.approx(total / 6)


def test_weights_in_a_series_are_those_of_its_names():
    frame, weights = mixed(), {"few": 3.0, "number": 0.0}
    (columns, x), (others, _) = (
        columns_of(frame, column_weights=given)
        for given in (weights, pd.Series(weights))
    )
    raw = torch.randn(len(x), columns.n_outputs, dtype=torch.float64)
    assert others.eval().loss(raw, x) == columns.eval().loss(raw, x)


def test_the_loss_is_cross_entropy_and_squared_error_of_cells_that_are_there():
    frame = mixed(gaps=True)
    columns, x = columns_of(frame, allow_missing=True)
    raw = torch.randn(
        (len(x), columns.n_outputs), generator=make_generator(0), dtype=torch.float64
    )
    owner, given = columns.column_index.numpy(), raw.numpy()
    expected = np.zeros(len(x))
    for i, name in enumerate(KINDS):
        own, column = given[:, owner == i], frame[name]
        there = column.notna().to_numpy()
        if name in ("number", "whole"):
            y = column.to_numpy(float, na_value=np.nan)
            z = (y - np.nanmean(y)) / np.nanstd(y)
            expected[there] += np.square(own[:, 0] - z)[there]
            continue
        levels = sorted(column.dropna().unique())
        shares = column.value_counts(normalize=True).reindex(levels).to_numpy(float)
        if name == "pair":
            logits = np.hstack([np.zeros_like(own), own])
        elif name == "few":
            logits = own
        else:
            part = next(
                part for part in columns.groups if isinstance(part, RandomCodeColumn)
            )
            logits = np.log(shares) + own @ part.codes.numpy().T
        code = column.map({level: k for k, level in enumerate(levels)})
        logs = special.log_softmax(logits, axis=1)
        picked = logs[there, code[there].to_numpy(int)]
        expected[there] -= picked / stats.entropy(shares)
    rows = columns.eval().per_sample_loss(raw, x).numpy()
    np.testing.assert_allclose(rows, expected / 5, rtol=1e-9)


def test_many_levels_are_compared_with_those_of_the_batch_alone():
    # One level is half of all rows.
    frame = pd.concat([mixed(1500, n_many=1500), mixed(1500).assign(many="m0003")])
    columns, rows = columns_of(frame)
    (part,) = (part for part in columns.groups if isinstance(part, RandomCodeColumn))
    x = part.of(rows)[[(frame["many"] == "m0003").argmax(), 1, 4, 1, 5]]
    raw = torch.randn(
        (5, part.n_outputs), generator=make_generator(0), dtype=torch.float64
    )
    some, place = np.unique(x[:, 0].numpy().astype(int), return_inverse=True)
    # A level's weight over the chance that a batch of five has it.
    share = np.unique(frame["many"], return_counts=True)[1][some] / 3000
    assert share.max() > 0.5
    logits = raw.numpy() @ part.codes.numpy()[some].T
    logits += np.log(share / (1 - (1 - share) ** 5))
    expected = -special.log_softmax(logits, axis=1)[np.arange(5), place]
    cells = part.cell_losses(raw, x)[:, 0]
    np.testing.assert_allclose(cells.numpy(), expected, rtol=1e-10)
    every = part.eval().cell_losses(raw, x)[:, 0]
    assert every.mean() > cells.mean() + 1


def test_very_many_levels_need_little_memory(monkeypatch):
    frame = pd.DataFrame({"a": np.arange(17_794.0), "id": np.arange(17_794)})
    sizes, logits = [], RandomCodeColumn._logits

    def counted(part, raw, codes, log_share):
        result = logits(part, raw, codes, log_share)
        sizes.append((part.training, result.numel()))
        return result

    monkeypatch.setattr(RandomCodeColumn, "_logits", counted)
    reducer = PLAIN(
        2, categorical_features=["id"], hidden_layer_sizes=(4,), random_state=0
    )
    reducer.set_params(max_epochs=1, batch_size=256, early_stopping=False).fit(frame)
    assert reducer.module_.columns.n_outputs == 1 + 57
    back = reducer.reconstruct(frame[:3000])
    assert back["id"].isin(frame["id"]).all()
    in_training = max(size for training, size in sizes if training)
    assert in_training <= 300 * 300
    assert max(size for _, size in sizes) <= MOST_LOGITS


# -- the step by hand -----------------------------------------------------------------

WITH_GAPS = {"allow_missing": True}


@pytest.mark.parametrize(
    ("reducer", "how"),
    [
        (PLAIN(3), {}),
        (PLAIN(3, init="random"), {}),
        (PLAIN(3, **WITH_GAPS), {"gaps": True}),
        (PLAIN(3, column_weights={"few": 0, "number": 2}), {}),
        (PLAIN(3), {"n": 1500, "n_many": 1100}),
        (DENOISING(3, **WITH_GAPS, noise="masking", noise_level=0.4), {"gaps": True}),
        (
            DENOISING(
                features="reconstruction",
                noise="swap",
                feature_groups=[["few", "many"]],
            ),
            {},
        ),
    ],
    ids=["pca", "random", "gaps", "weights", "many", "masking", "stack"],
)
def test_the_step_by_hand_has_the_gradient_of_autograd(reducer, how):
    frame = mixed(**how)
    reducer.set_params(hidden_layer_sizes=(9, 7), max_epochs=0, random_state=0)
    module = reducer.fit(frame).module_.double().train()
    for weight in module.parameters():
        torch.nn.init.normal_(weight, std=0.5, generator=make_generator(1))
    flat = FlatParameters(module)
    step = fast_step(module, flat, "float32")
    assert isinstance(step, FusedStep)
    rows = torch.from_numpy(reducer._table.matrix(frame)).double()
    for x in (rows[:40], rows[50:57], rows[60:100]):
        target = x.flip(0)
        module.use_generator(make_generator(2))
        loss, _ = step(x, target)
        by_hand = flat.gradient.clone()
        flat.gradient.zero_()
        module.use_generator(make_generator(2))
        expected = module.objective.combine(module.loss_terms(module(x), target))
        expected.backward()
        assert loss == pytest.approx(expected.item(), rel=1e-12)
        rounding = 1e-12 * flat.gradient.abs().max().item()
        torch.testing.assert_close(by_hand, flat.gradient, rtol=1e-9, atol=rounding)
    assert (flat.gradient != 0).double().mean() > 0.4


@pytest.mark.parametrize("kind", [PLAIN, DENOISING])
@pytest.mark.parametrize("gaps", [False, True])
def test_a_run_by_hand_is_that_of_autograd_and_near_one_in_bf16(kind, gaps):
    frame = mixed(gaps=gaps)

    def fit(**settings):
        reducer = kind(3, allow_missing=gaps, hidden_layer_sizes=(16,), max_epochs=4)
        return reducer.set_params(random_state=0, **settings).fit(frame)

    reducer = fit()
    expected = fit(net_params={"make_gradient_fn": None})
    np.testing.assert_allclose(reducer.loss_curve_, expected.loss_curve_, rtol=1e-5)
    np.testing.assert_allclose(
        reducer.validation_loss_curve_, expected.validation_loss_curve_, rtol=1e-5
    )
    half = fit(precision="bf16")
    np.testing.assert_allclose(half.loss_curve_, expected.loss_curve_, rtol=0.02)
    assert half.loss_curve_ != expected.loss_curve_
    pd.testing.assert_series_equal(half.reconstruct(frame).dtypes, frame.dtypes)


# -- ranks ----------------------------------------------------------------------------

rng = np.random.default_rng(0)
RANKED = {
    "ties": np.round(rng.normal(size=500), 1),
    "discrete": rng.poisson(1.5, size=500),
    "one value mostly": np.where(rng.random(500) < 0.8, 0, rng.normal(size=500)),
    "two values": rng.integers(0, 2, 500).astype(float),
    "few rows": np.array([3.0, 1.0, 2.0, 2.0]),
}


def ranked(values):
    (raw,) = read_columns(np.asarray(values)[:, None])
    return NumberColumn.of(raw, "rank_gauss"), raw


@pytest.mark.parametrize("name", RANKED)
def test_rank_gauss_gives_the_normal_scores_of_ranks(name):
    values = RANKED[name]
    column, raw = ranked(values)
    scores = stats.norm.ppf((stats.rankdata(values) - 0.5) / len(values))
    expected = (scores - scores.mean()) / scores.std()
    y = column.encode(raw)
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(column.decode(y), values, atol=1e-12)
    # Beyond what was seen there is nothing further to say.
    beyond = column.scaled(np.array([-1e9, 1e9]))
    np.testing.assert_array_equal(beyond, [y.min(), y.max()])
    back = column.decode(np.linspace(-9, 9, 1000))
    assert (np.diff(back) >= 0).all()
    assert (back[0], back[-1]) == (values.min(), values.max())


def test_rank_gauss_is_the_quantile_transformer_where_values_differ():
    values = np.random.default_rng(0).gamma(1, size=(20_000, 1))
    column, raw = ranked(values[:, 0])
    assert 800 < column.knots.shape[1] <= 1000
    there = QuantileTransformer(output_distribution="normal", subsample=None)
    expected = there.fit_transform(values)[:, 0]
    y = column.encode(raw) * column.unit + column.origin
    # Its knots are evenly spaced by rank, which shows in the tails.
    inner = np.abs(expected) < 2.5
    np.testing.assert_allclose(y[inner], expected[inner], atol=0.02)
    np.testing.assert_allclose(
        column.decode(column.encode(raw)), values[:, 0], rtol=1e-9
    )


@pytest.mark.parametrize("n_samples", [3_000, 100_000])
def test_rank_gauss_knows_the_tails_of_many_values(n_samples):
    values = np.random.default_rng(0).standard_cauchy(n_samples)
    column, raw = ranked(values)
    scores = stats.norm.ppf((stats.rankdata(values) - 0.5) / n_samples)
    y = column.encode(raw) * column.unit + column.origin
    np.testing.assert_allclose(y, scores, atol=0.02)
    assert np.sqrt(np.mean(np.square(y - scores))) < 0.002


def test_shares_of_variances_are_drawn_to_their_mean_as_by_ten_rows():
    table = table_of(pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": [1.0, 0.0, 5.0]}))
    columns = in_dtype(JoinedColumns(table, density_rows=10), torch.float64)
    x = torch.zeros(1, 2, dtype=torch.float64)
    raw = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    columns.fit_dispersion([(raw, x)])
    (part,) = columns.groups
    errors = (raw[0].numpy() * part.residual) ** 2
    values = np.array([2 / 3, 14 / 3]) / part.unit**2  # of a and b, standardized or not
    values /= np.square([column.unit for column in table.columns])
    shares = errors / values
    expected = (shares + shares.mean()) / 2 * values
    np.testing.assert_allclose(part.variance, expected, rtol=1e-6)  # float32 values


def test_a_column_without_a_cell_keeps_its_variance():
    table = table_of(
        pd.DataFrame({"a": [0.0, 1.0, np.nan], "b": [1.0, 0.0, 5.0]}),
        allow_missing=True,
    )
    columns = in_dtype(JoinedColumns(table, density_rows=10**9), torch.float64)
    columns.set_variance(0.25)
    columns.train()
    x = torch.tensor([[np.nan, 0.0]], dtype=torch.float64)
    columns.loss(torch.ones(1, columns.n_outputs, dtype=torch.float64), x)
    (part,) = columns.groups
    assert part.running[0] == pytest.approx(0.25)
    assert part.running[1] != pytest.approx(0.25)


def _kept(values):
    raw = ColumnData("x", np.asarray(values, float), is_category=False)
    return NumberColumn.of(raw, "standard", keeps_values=True)


def test_samples_of_few_values_move_to_the_nearest():
    column = _kept(np.repeat([0.0, 1.0, 4.0, 4.5], 10))
    drawn = np.random.default_rng(0).normal(2, 3, size=200)
    own = np.array([0.0, 1.0, 4.0, 4.5])
    nearest = own[np.abs(drawn[:, None] - own).argmin(axis=1)]
    np.testing.assert_array_equal(column.nearest_seen(drawn), nearest)


def test_samples_of_a_column_with_a_spike_move_to_values_seen():
    values = np.append(np.random.default_rng(0).random(5000), np.zeros(500))
    column = _kept(values)
    moved = column.nearest_seen(np.array([-3.0, 0.5, 7.0]))
    assert set(moved) <= set(values)
    assert (moved[0], moved[2]) == (0.0, values.max())
    assert moved[1] == pytest.approx(0.5, abs=0.01)
    assert len(column.repeated) <= 1000


def test_samples_of_other_columns_stay():
    column = _kept(np.random.default_rng(0).random(500))
    assert column.repeated is None
    np.testing.assert_array_equal(column.nearest_seen(np.arange(3.0)), np.arange(3.0))
    raw = ColumnData("x", np.zeros(50), is_category=False)
    assert NumberColumn.of(raw, "standard").repeated is None
