"""What the benchmarks print, as far as it does not take a benchmark to see it."""

import importlib
import math
import pkgutil
import re
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from sk_autoencoder import AutoEncoderTransformer, DenoisingAutoEncoderTransformer
from sk_autoencoder._fitting import recipe, resolve
from sk_autoencoder.datasets import _fashion_mnist

pytestmark = pytest.mark.benchmark


def load(name):
    return importlib.import_module(f"benchmarks.{name}")


@pytest.fixture
def script():
    return load


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((0.2, "<", 0.2), "0.20 (target < 0.2): MISSED"),
        ((0.2, "<=", 0.2), "0.20 (target <= 0.2): met"),
        ((0.201, "<=", 0.2), "0.20 (target <= 0.2): MISSED"),
        ((9.9, ">=", 10, ".3g"), "9.9 (target >= 10): MISSED"),
        ((6500, ">=", 6500, ",.0f", " a day"), "6,500 a day (target >= 6,500): met"),
        ((math.nan, ">=", 10), "not measured (target >= 10)"),
    ],
)
def test_a_verdict_says_what_was_wanted_and_whether_it_came(script, arguments, line):
    assert (
        script("_shared.report").verdict("seconds", *arguments) == f"- seconds: {line}"
    )


def test_a_written_table_names_its_command_without_places(script):
    shown = script("_shared.provenance").command
    given = ["/usr/bin/python", "-X", "dev", "-m", "benchmarks.quality.run", "--quick"]
    given += ["--data", "/home/me", "--write=/tmp/x", "--results", "/tmp/y", "--k=5"]
    assert shown([*given, "--methods", "PCA", "MLP, best of grid"]) == (
        "python -m benchmarks.quality.run --quick --data DIR --k=5 --methods PCA "
        "'MLP, best of grid'"
    )
    assert shown(["python", "x.py", "--data=/home/me"]) == "python x.py --data DIR"


def test_every_option_that_names_a_place_is_known(script):
    bench, known = script("_shared.provenance"), set()
    for path in Path(bench.__file__).parents[1].rglob("*.py"):
        known |= set(re.findall(r'"(--[a-z]+)",\s+type=Path', path.read_text("utf-8")))
    assert known == {*bench.FILES, *bench.FOLDERS}


def test_the_ways_to_a_product_give_the_same_product(script):
    products = script("quality.choices")._products(5, 4, 3)
    assert [len(ways) for ways in products.values()] == [3, 2, 2]
    for ways in products.values():
        first, *others = (torch.as_tensor(way()).clone() for way in ways.values())
        for other in others:
            torch.testing.assert_close(other, first)


@pytest.fixture
def mixed():
    """Return 60 rows of two numbers that agree and a category that says their sign."""
    pd = pytest.importorskip("pandas")
    number = np.random.default_rng(0).normal(size=60)
    sign = np.where(number > 0, "up", "down")
    return pd.DataFrame({"a": number, "b": 3 * number + 1, "sign": sign})


def test_imputers_fill_what_is_missing_and_leave_what_is_known(script, mixed):
    bench, methods = script("tables.impute"), script("tables.impute_methods")
    frame = bench.prepared(mixed, 50, 0)
    spoiled, mask = bench.hidden(frame, 0.2, 0)
    assert spoiled.isna().to_numpy().sum() == mask.sum() > 0
    scores = {}
    for name in (methods.MEDIAN, methods.KNN, methods.ITERATIVE, methods.ITERATIVE_ALL):
        filled = methods.METHODS[name](spoiled, 0)
        assert (filled.dtypes == frame.dtypes).all()
        assert filled.where(~mask).equals(frame.where(~mask))
        scores[name] = bench.errors(frame, filled, mask)
    assert scores[methods.ITERATIVE][0] < 0.7 < scores[methods.MEDIAN][0]
    assert scores[methods.KNN][1] > scores[methods.MEDIAN][1]
    assert scores[methods.ITERATIVE][1] > scores[methods.ITERATIVE_ALL][1]
    assert bench.errors(frame, frame, mask) == (0, 1)


def test_cells_are_hidden_by_another_columns_ranks(script):
    pd = pytest.importorskip("pandas")
    bench = script("tables.impute")
    numbers = np.random.default_rng(0).normal(size=(2000, 4))
    frame = pd.DataFrame(numbers).assign(kind=pd.Categorical(list("ab") * 1000))
    spoiled, mask = bench.hidden(frame, 0.2, 0, depends=True)
    is_seen = ~mask.any(axis=0)
    assert is_seen.sum() == 2
    assert abs(mask[:, ~is_seen].mean() - 0.2) < 0.01
    assert spoiled.isna().to_numpy().tolist() == mask.tolist()
    # Above the median of the column that leads, three quarters of them are hidden.
    ranks = frame.assign(kind=frame["kind"].cat.codes).rank(pct=True).to_numpy()
    high = ranks[:, is_seen] > 0.5
    shares = [max(high[hidden].mean(axis=0)) for hidden in mask[:, ~is_seen].T]
    assert min(shares) > 0.7


def test_boosting_in_rounds_fills_and_says_how_much_a_round_has_changed(script, mixed):
    bench, methods = script("tables.impute"), script("tables.impute_methods")
    frame = bench.prepared(mixed, 50, 0)
    spoiled, mask = bench.hidden(frame, 0.2, 0)
    filled = methods.forest(spoiled, 0, rounds=2, max_iter=5, min_samples_leaf=5)
    assert filled.where(~mask).equals(frame.where(~mask))
    first = methods.median_and_mode(spoiled)
    assert methods.changed(filled, filled, spoiled.isna()) == (0, 0)
    assert min(methods.changed(first, filled, spoiled.isna())) > 0


def test_boosting_takes_a_level_that_is_known_once(script):
    pd = pytest.importorskip("pandas")
    methods = script("tables.impute_methods")
    kind = pd.Series(["a", "b"] * 20 + ["c"], dtype="category")
    frame = pd.DataFrame({"x": kind.cat.codes % 2, "kind": kind})
    hidden = frame.index < 5
    params = {"early_stopping": True, "min_samples_leaf": 2, "max_iter": 20}
    found = methods.boosted(frame, "kind", hidden, 0, params)
    assert list(found) == list(kind[hidden])


def test_imputation_is_counted(script):
    pytest.importorskip("pandas")
    bench = script("tables.impute")
    ours = {"nrmse": 0.5, "accuracy": math.nan, "seconds": 2.0}
    theirs = {"nrmse": 0.6, "accuracy": math.nan, "seconds": 20.0}
    results = {("wine", bench.OURS): ours, ("wine", bench.FOREST): theirs}
    assert f"| {bench.FOREST} | 1 of 1 | 0 of 0 |" in bench.counts_of(
        results, bench.OURS
    )
    assert bench.verdicts(results, bench.OURS) == [
        f"- lower nRMSE than {bench.FOREST}, share of 1 tables: 1.00 "
        "(target >= 0.5): met",
        f"- times as fast as {bench.FOREST}: 10.0 (target >= 5): met",
    ]


def test_measurements_are_kept(script, tmp_path):
    results = script("_shared.results")
    path = tmp_path / "results.jsonl"
    for measure in (lambda: {"x": 0.5}, lambda: pytest.fail("measured again")):
        line = results.Line("task", "wine", "raw", 0, 1, "ours", 9, 2, 9)
        assert results.Lines(path).measure(line, measure).values == {"x": 0.5}
    path.write_text(path.read_text() + '{"task": "cut off')
    assert len(results.Lines(path).all) == 1


def test_samples_are_told_from_rows(script):
    pd = pytest.importorskip("pandas")
    bench = script("tables.samples")
    rng = np.random.default_rng(0)
    a = rng.normal(size=600)
    frame = pd.DataFrame({"a": a, "b": a + 0.1 * rng.normal(size=600)})
    train, real = frame[:400], frame[400:].reset_index(drop=True)
    found = {
        run: bench.measure(bench.METHODS[run], train, real, 0)
        for run in (bench.APART, bench.ROWS)
    }
    assert found[bench.APART]["auc"] > 0.8
    assert abs(found[bench.ROWS]["auc"] - 0.5) < 0.1
    assert found[bench.ROWS]["nearest"] == 0
    assert found[bench.APART]["nearest"] > 1
    apart, floor = found[bench.APART], found[bench.ROWS]
    assert apart["one"] < 1.5 * floor["one"] < 0.3  # each column by itself is right
    assert apart["two"] > 2 * floor["two"]
    assert bench.margins(real, real) == (0, 0)
    one, two = bench.margins(real, real[real["a"] < real["a"].median()])
    assert one == pytest.approx(0.5, abs=0.05)
    assert two == pytest.approx(0.5, abs=0.05)


def test_intervals_of_imputations_are_counted(script):
    pd = pytest.importorskip("pandas")
    bench = script("tables.intervals")
    rng = np.random.default_rng(0)
    n, m = 2000, bench.DRAWS
    truth = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "kind": pd.Categorical(rng.choice(list("ab"), n, p=[0.8, 0.2])),
        }
    )
    mask = np.ones(truth.shape, bool)
    drawn = [
        pd.DataFrame(
            {"x": rng.normal(size=n), "kind": rng.choice(["a", "b"], n, p=[0.8, 0.2])}
        )
        for _ in range(m)
    ]
    found = bench.figures(truth, drawn, mask)
    assert found["covered"] == pytest.approx(0.9, abs=0.03)
    assert found["sure"] == pytest.approx(0.8, abs=0.03)
    assert found["right"] == pytest.approx(0.8, abs=0.03)
    # The same probability in every cell, counted in few draws: the mean distance of a
    # binomial fraction from its probability.
    chance = np.sqrt(2 / np.pi * 0.8 * 0.2 / m)
    assert found["off"] == pytest.approx(chance, abs=0.02)
    wrong = [frame.assign(x=0.1 * frame["x"], kind="b") for frame in drawn]
    found = bench.figures(truth, wrong, mask)
    assert found["covered"] < 0.3
    assert found["sure"] == 1
    assert found["off"] == pytest.approx(0.8, abs=0.03)


def test_constants_that_are_varied_have_the_value_in_use(script):
    choices = script("quality.choices")
    for name, path in choices.CONSTANTS.items():
        assert pkgutil.resolve_name(f"sk_autoencoder.{path}") == choices.IN_USE[name]
    assert choices.IN_USE["clip"] == recipe.CLIP_FROM_PCA
    assert recipe.automatic_batch_size(40) == 32


def test_turns_are_taken_forwards_and_backwards(script):
    timing, seen = script("_shared.timing"), []

    def turn(name, repetition):
        seen.append((repetition, name))
        return (2.0 if name == "a" else 4.0, 0.1)

    turns = timing.take_turns(("a", "b"), turn, 2)
    assert [name for _, name in seen] == ["b", "a", "a", "b", "b", "a"]
    assert turns["b"] == [(4.0, 0.1)] * 2
    assert (timing.seconds(turns, "a"), timing.ratio(turns, "b", "a")) == (2, 2)


def test_the_bandwidth_is_best_for_rows_left_out(script):
    methods = script("density.methods")
    rows = np.random.default_rng(0).normal(size=(40, 2))
    chosen = methods.kernel(rows).values["width"]
    scores = []
    for width in methods.BANDWIDTHS:
        model = methods.KernelDensity(bandwidth=width)
        left_out = [
            model.fit(np.delete(rows, i, axis=0)).score(rows[i : i + 1])
            for i in range(40)
        ]
        scores.append(np.mean(left_out))
    assert chosen == methods.BANDWIDTHS[np.argmax(scores)]


def test_mixtures_take_as_many_parts_as_pay(script):
    rng = np.random.default_rng(0)
    rows = np.vstack([rng.normal(m, 1, size=(100, 2)) for m in (-8, 0, 8)])
    density = script("density.methods").mixture(rows, 0)
    assert density.values["parts"] == 3
    drawn = density.sample(600, 1)
    assert drawn.shape == (600, 2)
    assert stats.spearmanr(np.arange(600), drawn[:, 0]).pvalue > 0.01


def test_drawn_numbers_are_moved_to_the_nearest_that_there_is(script):
    train = np.column_stack([np.arange(20.0) ** 2, np.arange(20) % 2])
    drawn = np.array([[-5.0, 0.3], [2.4, 0.9], [2.6, -1], [1e3, 7]])
    expected = [[0, 0.3], [1, 0.9], [4, -1], [361, 7]]
    np.testing.assert_array_equal(
        script("density.samples").snapped(drawn, train), expected
    )


def test_rows_of_the_same_density_can_not_be_told_apart(script):
    samples = script("density.samples")
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(600, 3))
    assert samples.told_apart(rows[:300], rows[300:], 0) == pytest.approx(0.5, abs=0.1)
    assert samples.told_apart(rows[:300], rows[300:] * 4, 0) > 0.9


def test_the_penalty_is_all_that_a_penalized_fit_differs_by(script, monkeypatch):
    bench = script("quality.downstream")
    X = load_digits().data[:300]

    def moved(penalty):
        monkeypatch.setattr(bench, "PENALTY", penalty)
        own = None if penalty is None else bench.penalized_gradient
        fitted = AutoEncoderTransformer(
            3, max_epochs=9, random_state=0, net_params={"make_gradient_fn": own}
        )
        codes = fitted.set_params(device="cpu").fit(X).transform(X)
        return codes - AutoEncoderTransformer(3, max_epochs=0).fit(X).transform(X)

    by_autograd = moved(None)
    np.testing.assert_array_equal(moved(0.0), by_autograd)
    assert np.linalg.norm(moved(10.0)) < 0.5 * np.linalg.norm(by_autograd)


def test_what_is_linear_in_principal_scores_is_what_they_explain(script):
    X = load_digits().data
    pca = PCA(5).fit(X)
    found = script("quality.downstream").linear_readout(pca.transform(X), X)
    assert found == pytest.approx(pca.explained_variance_ratio_.sum())


def test_planted_columns_are_found_by_the_curves_they_follow(script):
    bench = script("quality.planted")
    X, factors = bench.planted(0)
    own = np.equal.outer(np.arange(bench.N_FACTORS), factors).astype(float)
    assert bench.n_found(own, factors) == bench.N_FACTORS
    assert bench.n_found(own, np.roll(factors, 1)) < 10
    alike = np.abs(np.corrcoef(X.T))
    is_same = factors == factors[:, np.newaxis]
    assert alike[is_same].mean() > 10 * alike[~is_same].mean()


def test_outliers_are_planted_and_found(script):
    methods, bench = script("outliers.methods"), script("outliers.run")
    X, y = methods.load("breast_cancer", None, 10_000)
    assert X.shape == (396, 30)
    assert y.sum() == 39
    assert methods.load("wine", None, 50)[0].shape == (50, 13)
    tune, confirm = methods.names_of("tune"), methods.names_of("confirm")
    assert len(tune) + len(confirm) == 19
    assert {"ad_thyroid", "ad_annthyroid"} <= set(tune)
    for run, least in (
        (methods.OURS, 0.9),
        (methods.FOREST, 0.9),
        (methods.NEIGHBORS, 0.8),
        ("PCA", 0.7),
    ):
        for clean in (False, True):
            assert bench.measured(run, X, y, 0, clean=clean)["auc"] > least


def test_false_discoveries_are_counted(script):
    bench = script("outliers.false_discoveries")
    usual, odd = bench.made("rounded", 5, 0)
    assert usual.shape == odd.shape == (2000, 5)
    found = bench.judged(usual, odd, 0, clean=True)
    assert len(found["false"]) == len(bench.RATES)
    assert found["found"][1] >= found["found"][0] > 0.3
    assert max(found["false"]) < 0.4


def test_outliers_are_reported_with_what_is_missing(script, monkeypatch, capsys):
    bench, report = script("outliers.run"), script("outliers.report")
    monkeypatch.setattr(script("_shared.command"), "ensure_one_thread", lambda: None)
    arguments = ["bench", "--sets", "wine", "--methods", "PCA", "ours", "--seeds", "2"]
    monkeypatch.setattr("sys.argv", arguments)
    bench.main()
    text = capsys.readouterr().out
    assert "| set | ours | PCA |" in text
    assert "- mean average precision over that of PCA: " in text
    assert "- no file for: ad_breastw, ad_optdigits, " in text
    line = script("_shared.results").Line
    lines = [
        line("outliers", name, "raw", 0, seed, run, 9, 2, 9, dict(values, seconds=1.0))
        for name, run, seed, values in (
            ("a", "ours", 0, {"auc": 0.8, "precision": 0.5}),
            ("a", "ours", 1, {"auc": 0.6, "precision": 0.1}),
            ("b", "ours", 0, {"auc": 0.9, "precision": 0.2}),
            ("a", "PCA", 0, {"auc": 0.5, "precision": 0.3}),
            ("b", "PCA", 0, {"auc": 0.5, "precision": 0.4}),
        )
    ]
    text = "\n".join(report.report(lines, "quiet"))
    assert "| mean | 0.800 | 0.500 |" in text
    assert "curve over that of PCA: +0.300 (target >= 0.0): met" in text
    assert "precision over that of PCA: -0.100 (target >= 0.0): MISSED" in text
    assert "on the same set: not measured (target < 1.0)" in text


def test_the_convolutions_by_hand_are_those_of_conv_net(script):
    conv, hand = script("speed.fit_convolutions"), script("_shared.handwritten")
    rows = script("_shared.data").synthetic_pictures(8)
    stack = conv.ConvStack(torch.as_tensor(rows), "relu", hand.Extras())
    network = conv.ConvNet(
        (1, conv.SIDE, conv.SIDE),
        channels=conv.CHANNELS,
        kernel_size=3,
        hidden_layer_sizes=conv.HIDDEN,
        upsampling="transposed",
        activation="relu",
    )
    encoder, decoder = network.build(
        n_inputs=784,
        n_encoder_outputs=conv.CODE,
        n_components=conv.CODE,
        n_outputs=784,
        generator=torch.Generator().manual_seed(0),
    )
    weights = [*encoder.parameters(), *decoder.parameters()]
    for mine, theirs in zip(weights, stack.parameters, strict=True):
        theirs.data.copy_(mine.data)
    expected = decoder(encoder(torch.as_tensor(rows)))
    torch.testing.assert_close(stack.forward(torch.as_tensor(rows)), expected)
    assert conv.SIZES == (784, 3136, 1568, 128, 10, 128, 1568, 3136, 784)


def test_convolutions_fit_by_hand_and_by_our_estimator(script):
    conv, workloads = script("speed.fit_convolutions"), script("speed.fit_workloads")
    rows = script("_shared.data").synthetic_pictures(64)
    job = workloads.Job(rows, conv.SIZES, "relu", 32, 2)
    for fit in (conv.handwritten_conv, conv.ours_conv):
        seconds, loss = fit(job, extras=workloads.RECIPE)
        assert seconds > 0
        assert 0 < loss < 2


def test_stacks_are_the_same_by_hand_and_by_our_estimator(script):
    workloads = script("speed.fit_workloads")
    job = workloads.Job(
        workloads.standardized(workloads.synthetic_table(256, n_columns=12)),
        (12, 30, 20, 12),
        "relu",
        32,
        8,
    )
    losses = []
    for fit in workloads.wide_pair(workloads.SWAP):
        torch.manual_seed(0)
        losses.append(fit(job)[1])
    assert losses[0] == pytest.approx(losses[1], rel=0.05)
    competitors = script("_shared.competitors")
    fitted = competitors._estimator(job, workloads.SWAP, bottleneck=False)
    module = fitted.set_params(max_epochs=1).fit(job.X).module_
    assert module.n_weights() == 12 * 30 + 30 + 30 * 20 + 20 + 20 * 12 + 12


def test_images_are_compared_on_the_same_rows(script):
    bench = script("images.run")
    images = bench.digits(None)
    assert images.train.shape[1:] == images.test.shape[1:] == (8, 8)
    scores = bench.compare(images, 4, rows=120, epochs=1)
    assert list(scores) == [bench.PRINCIPAL, bench.DENSE, bench.CONVOLUTIONS]
    train, test = bench.drawn(images.train, 120), bench.drawn(images.test, 40)
    pca = PCA(4, random_state=0).fit(train)
    error = np.square(test - pca.inverse_transform(pca.transform(test))).sum()
    assert scores[bench.PRINCIPAL].error == pytest.approx(error, rel=1e-4)
    total = np.square(test - train.mean(axis=0)).sum()
    assert scores[bench.PRINCIPAL].explained == pytest.approx(1 - error / total, 1e-4)


def test_the_table_of_images_has_ratios_and_verdicts(script):
    bench = script("images.run")
    scores = {
        bench.PRINCIPAL: bench.Score(10.0, 0.5, 0.1),
        bench.DENSE: bench.Score(8.0, 0.6, 3.0),
        bench.CONVOLUTIONS: bench.Score(6.0, 0.7, 20.0),
    }
    text = bench.report({("usps", 10): scores})
    assert "| usps, 10 numbers, ConvNet | 0.700 | 0.600 | 0.750 | 20.0 |" in text
    assert (
        "- usps, 10 numbers: squared error of ConvNet over dense layers: 0.750 (target "
        "<= 0.95): met" in text
    )
    assert "fashion_mnist, 4 numbers: squared error of ConvNet over PCA: not" in text


def test_images_that_are_not_there_are_missing(script, tmp_path, monkeypatch):
    bench = script("images.run")
    monkeypatch.setattr(_fashion_mnist, "DEBIAN", tmp_path)
    monkeypatch.delenv("SK_AUTOENCODER_DATA", raising=False)
    args = Namespace(data=None, fashion=None)
    for load in (bench.usps, bench.pneumonia, bench.fashion):
        with pytest.raises(FileNotFoundError):
            load(args)
    np.savez(
        tmp_path / "usps.npz", X=np.zeros((5, 16, 16), np.uint8), test=[0, 0, 1, 0, 1]
    )
    images = bench.usps(Namespace(data=tmp_path))
    assert (len(images.train), len(images.test)) == (3, 2)
    assert script("_shared.data").fashion_mnist(tmp_path, n_rows=3) is None


def test_other_settings_of_convolutions_are_those_of_network_and_training(
    script, monkeypatch
):
    bench, seen = script("images.run"), []

    class Estimator(bench.AutoEncoderTransformer):
        def fit(self, X, y=None):
            seen.append(self)
            return super().fit(X)

    monkeypatch.setattr(resolve, "automatic_epochs", lambda n_rows, batch_size: 1)
    monkeypatch.setattr(bench, "AutoEncoderTransformer", Estimator)
    images = bench.digits(None).train[:60]
    ratio = bench.error_over_dense(images, 3, {"lr": 0.01, "kernel_size": 3})
    assert 0 < ratio < 2
    dense, convolutions = seen
    assert dense.network is None
    assert (dense.lr, convolutions.lr) == ("auto", 0.01)
    assert convolutions.network.kernel_size == 3
    assert convolutions.network.input_shape == (1, 8, 8)
    known = {*bench.ConvNet().get_params(), *bench.OF_TRAINING}
    assert all(known.issuperset(changes) for changes in bench.CHOICES)


def test_networks_for_series_are_compared_on_the_same_held_out_rows(script):
    bench = script("series.run")
    X, shape = bench.series_of(bench.MADE_UP, None, 40)
    assert shape == (64, 4)
    untrained = bench.measure(X, shape, 3, 0, max_epochs=0)
    assert list(untrained) == list(bench.METHODS)
    for name in (bench.DENSE, bench.RECURRENT):  # they start as PCA
        assert untrained[name][0] == pytest.approx(1, abs=1e-5)
    for name in (bench.DENSE_RANDOM, bench.RECURRENT_RANDOM):
        assert untrained[name][0] > 1.5


def test_errors_on_series_are_averaged_and_held_against_the_dense_network(script):
    bench = script("series.run")
    first = dict.fromkeys(bench.METHODS, (0.5, 2.0)) | {bench.RECURRENT: (0.2, 10.0)}
    second = dict.fromkeys(bench.METHODS, (0.5, 4.0)) | {bench.RECURRENT: (0.8, 30.0)}
    over_pca, over_dense, seconds = bench.summary([first, second])
    assert over_pca[bench.RECURRENT] == pytest.approx(0.4)
    assert over_dense[bench.RECURRENT] == pytest.approx(0.8)
    assert over_dense[bench.RECURRENT_RANDOM] == pytest.approx(1)
    assert (seconds[bench.DENSE], seconds[bench.RECURRENT]) == (3, 20)
    assert bench.verdicts({bench.RECURRENT: (0.8, "waves, k = 5")}) == [
        "- recurrent over dense, least (waves, k = 5): 0.80 (target <= 0.9): met"
    ]


def test_versions_take_turns_at_the_same_fits(script, tmp_path):
    versions = script("speed.versions")
    case = script("_shared.results").Case("digits", "raw", 10)
    asked = []

    class Fake:
        def __init__(self, seconds):
            self.seconds = seconds

        def fit(self, request):
            asked.append((self.seconds, request["params"]))
            rows = np.load(request["file"])
            pca = PCA(10).fit(rows["train"])
            rebuilt = pca.inverse_transform(pca.transform(rows["test"]))
            error = float(np.square(rows["test"] - rebuilt).sum())
            epochs = int(4 * self.seconds)
            return {"seconds": self.seconds, "epochs": epochs, "error": error / 2}

    X = load_digits().data.astype(np.float32)
    fakes = {versions.BEFORE: Fake(2.0), versions.NOW: Fake(1.0)}
    turns = versions.compare(fakes, "VAE", case, X, 2, tmp_path)
    assert [seconds for seconds, _ in asked] == [1, 2, 2, 1]
    assert {params["random_state"] for _, params in asked} == {0, 1}
    assert versions.time_ratio(turns) == 0.5
    assert versions.epoch_ratio(turns) == 1
    none = [{name: fit._replace(epochs=0) for name, fit in turns[0].items()}]
    assert versions.epoch_ratio([*turns, *none]) == 1
    assert math.isnan(versions.epoch_ratio(none))
    assert versions.errors(turns, versions.NOW) == pytest.approx(0.5, rel=0.01)
    count, *figures = versions.summary([turns])
    assert (count, *figures[:4]) == ("1", "0.500", "0.500", "0.500", "1.000")


def test_versions_fit_what_they_are_asked_to(script):
    versions = script("speed.versions")
    sets = Namespace(data=None, shapes=False, fits=["VAE", "hidden features"])
    found = [(kind, case.name) for kind, case, _ in versions.fits(sets)]
    assert found == [("VAE", "digits"), ("hidden features", "digits")]
    shapes = versions.fits(Namespace(shapes=True))
    assert [(kind, X.shape) for kind, _, X in shapes] == [
        ("autoencoder", shape) for shape in versions.SHAPES
    ]


def test_a_version_that_is_no_checkout_is_refused(script, tmp_path):
    with pytest.raises(SystemExit, match="expected a checkout"):
        script("speed.versions").Version(tmp_path)


def test_the_floor_of_a_fit_has_all_of_its_products(script):
    parts = script("speed.parts")
    X = load_digits().data[:300].astype(np.float32)
    reducer = AutoEncoderTransformer(3, hidden_layer_sizes=(5,), max_epochs=0).fit(X)
    for n_rows, by_torch in ((4, set()), (4_000, {"mm", "addmm"})):
        calls = parts.products(reducer.module_, n_rows)
        # Forwards, and both gradients: the first layer's inputs have none.
        shapes = [tuple(call.keywords["out"].shape) for call in calls]
        n, columns = n_rows, len(X[0])
        of_layers = [(n, 5), (5, columns)]
        for n_in, n_out in ((5, 3), (3, 5), (5, columns)):
            of_layers += [(n, n_out), (n_out, n_in), (n, n_in)]
        assert shapes == [*of_layers, (n, 3), (n, columns), (n, 3)]
        names = {call.func.__name__ for call in calls}
        assert names == {"dot"} | by_torch
    assert parts.seconds_of(calls) > 0


def test_samples_of_a_fit_are_told_apart(script):
    parts = script("speed.parts")

    def here():
        return parts.part_of(sys._getframe())

    def validate():
        return here()

    def _take_steps():
        return here(), noisy(), validate()

    def noisy():
        return here()

    assert here() == parts.AROUND
    assert _take_steps() == (parts.OTHER, parts.NOISE, parts.VALIDATION)


def test_the_parts_of_a_fit_are_the_whole(script):
    parts = script("speed.parts")
    make, X = parts.fits()["digits, autoencoder"]

    def short(**params):
        return make(max_epochs=20, **params)

    fit = parts.measure(short, X, 0)
    assert sum(map(fit.of_parts, parts.PARTS)) == pytest.approx(1)
    assert 0 < fit.products < fit.seconds
    assert fit.n_steps == pytest.approx(20 * 1617 / 128)
    assert 0 < fit.close <= 1
    assert fit.of_parts(parts.PRODUCTS) > fit.of_parts(parts.BATCHES)
    text = parts.report({"digits": [fit, fit]})
    assert "| part | digits |" in text
    assert "| digits | 253 |" in text


def test_both_devices_fit_and_transform(script, monkeypatch):
    gpu = script("speed.gpu")
    monkeypatch.setattr(gpu, "DEVICES", {"CPU": "cpu", "GPU": "cpu"})
    estimators = (
        AutoEncoderTransformer(gpu.K, max_epochs=1),
        DenoisingAutoEncoderTransformer(features="hidden", max_epochs=1),
    )
    X = load_digits().data[:300]
    fits = {f"fit {i}": gpu.Fit(fit, X) for i, fit in enumerate(estimators)}
    monkeypatch.setattr(gpu, "fits", lambda: fits)
    args = Namespace(repetitions=1, rows=5_000, cases=None)
    first, second = gpu.report_fits(args).splitlines()[-2:]
    *_, here, there = first.strip("| ").split(" | ")
    assert here == there
    assert float(here) <= 1
    assert second.endswith("| – | – |")
    assert gpu.report_transform(args).count("\n") == 5
