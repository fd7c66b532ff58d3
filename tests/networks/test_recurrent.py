"""Recurrent networks: torch's own as the oracle, padding, prediction, estimators."""

import math
import pickle
import re

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV
from sklearn_checks import checks_of
from torch import nn

import sk_autoencoder
from sk_autoencoder import (
    AutoEncoderTransformer,
    DenoisingAutoEncoderTransformer,
    VAETransformer,
)
from sk_autoencoder._utils.random import make_generator
from sk_autoencoder.metrics import reconstruction_scorer
from sk_autoencoder.networks import RecurrentNet
from sk_autoencoder.networks.series import in_one_piece

SHAPE = (12, 2)
SERIES = RecurrentNet(SHAPE, hidden_size=5, frame_size=3)
FAST = {"max_epochs": 2, "random_state": 0}


def waves(n_rows=120, shape=SHAPE, seed=0):
    """Two channels of a wave of any phase and period, and a little noise."""
    rng = np.random.default_rng(seed)
    n_steps, n_channels = shape
    period = rng.uniform(0.7, 1.4, size=(n_rows, 1, 1)) * n_steps
    start = rng.uniform(0, 2 * np.pi, size=(n_rows, 1, 1))
    step, lag = np.arange(n_steps)[:, None], np.arange(n_channels)
    X = np.sin(start + 2 * np.pi * (step + 2 * lag) / period)
    return (X + 0.05 * rng.normal(size=X.shape)).reshape(n_rows, -1)


X = waves()


def build(network, n_features, *, masked=False, n_components=3):
    return network.build(
        n_inputs=n_features * (1 + masked),
        n_encoder_outputs=n_components,
        n_components=n_components,
        n_outputs=n_features,
        generator=make_generator(0),
    )


def torchs_own(encoder, cell):
    """Return torch's network with the weights of an encoder's layers."""
    layers = [list(ways) for ways in encoder.layers]
    first = layers[0][0]
    kind = nn.LSTM if cell == "lstm" else nn.GRU
    twin = kind(
        first.input_weight.shape[1],
        first.n_units,
        num_layers=len(layers),
        batch_first=True,
        bidirectional=len(layers[0]) == 2,
    )
    own = [weight for ways in layers for way in ways for weight in way.parameters()]
    with torch.no_grad():
        for theirs, ours in zip(twin.parameters(), own, strict=True):
            theirs.copy_(ours)
    return twin


def last_states(twin, steps, lengths):
    """Return what torch's network ends with on packed series, layer by layer."""
    packed = nn.utils.rnn.pack_padded_sequence(
        steps, lengths, batch_first=True, enforce_sorted=False
    )
    states = twin(packed)[1]
    state = states[0] if isinstance(states, tuple) else states
    n_ways = 2 if twin.bidirectional else 1
    return torch.cat(list(state[-n_ways:]), dim=1)


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("n_layers", [1, 2])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_the_code_is_read_off_the_last_state_of_torchs_network(
    cell, n_layers, bidirectional
):
    network = RecurrentNet(
        (7, 2),
        cell=cell,
        hidden_size=4,
        n_layers=n_layers,
        bidirectional=bidirectional,
        frame_size=1,
    )
    encoder, _ = build(network, 14)
    rows = torch.randn(5, 14)
    states = last_states(torchs_own(encoder, cell), rows.view(5, 7, 2), [7] * 5)
    torch.testing.assert_close(encoder(rows), encoder.output(states))


@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("n_layers", [1, 2])
def test_padding_is_not_read_in_either_direction(n_layers, bidirectional):
    network = RecurrentNet(
        (7, 2),
        hidden_size=4,
        n_layers=n_layers,
        bidirectional=bidirectional,
        frame_size=1,
    )
    encoder, _ = build(network, 14, masked=True)
    lengths = [7, 1, 4, 6]
    values, marks = torch.randn(4, 7, 2), torch.zeros(4, 7, 2)
    for row, length in enumerate(lengths):
        marks[row, length:] = 1.0
    marks[2, 1, 0] = marks[3, 2] = 1.0  # gaps before the end are read, as marked
    values[marks > 0] = 0.0
    steps = torch.cat([values, marks], dim=2)
    states = last_states(torchs_own(encoder, "lstm"), steps, lengths)
    inputs = torch.cat([values.flatten(1), marks.flatten(1)], dim=1)
    torch.testing.assert_close(encoder(inputs), encoder.output(states))


def test_a_frame_is_steps_side_by_side_and_the_first_is_filled_up():
    network = RecurrentNet((7, 2), hidden_size=4, frame_size=3)
    encoder, _ = build(network, 14)
    rows = torch.randn(5, 14)
    frames = torch.cat([torch.zeros(5, 4), rows], dim=1).view(5, 3, 6)
    states = last_states(torchs_own(encoder, "lstm"), frames, [3] * 5)
    torch.testing.assert_close(encoder(rows), encoder.output(states))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_layer_starts_from_the_state_it_is_given(cell):
    _, decoder = build(RecurrentNet((7, 2), cell=cell, frame_size=1), 14)
    (layer,) = decoder.past.layers
    kind = nn.LSTM if cell == "lstm" else nn.GRU
    twin = kind(layer.input_weight.shape[1], layer.n_units, batch_first=True)
    with torch.no_grad():
        for theirs, ours in zip(twin.parameters(), layer.parameters(), strict=True):
            theirs.copy_(ours)
    x = torch.randn(3, 7, layer.input_weight.shape[1])
    state = torch.randn(3, layer.n_states, layer.n_units)
    parts = [part.contiguous() for part in state.transpose(0, 1).unsqueeze(1)]
    given = tuple(parts) if cell == "lstm" else parts[0]
    torch.testing.assert_close(layer(x, state), twin(x, given)[0])


def test_the_code_sets_the_state_and_is_shown_beside_a_clock():
    _, decoder = build(RecurrentNet((7, 2), hidden_size=4, frame_size=1), 14)
    (layer,), (start,) = decoder.past.layers, decoder.past.starts
    twin = nn.LSTM(3 + 8, 4, batch_first=True)
    with torch.no_grad():
        for theirs, ours in zip(twin.parameters(), layer.parameters(), strict=True):
            theirs.copy_(ours)
    code = torch.randn(5, 3)
    shown, cell = torch.tanh(start(code)).split(4, dim=1)
    time = torch.arange(7).view(7, 1) / 7
    clock = torch.cos(torch.pi * time * torch.arange(1, 9)).expand(5, 7, 8)
    x = torch.cat([code[:, None].expand(5, 7, 3), clock], dim=2)
    written, _ = twin(x, (shown[None].contiguous(), cell[None].contiguous()))
    expected = decoder.past.output(written).flip(1).flatten(1)
    torch.testing.assert_close(decoder(code), expected)


@pytest.mark.parametrize(("n_future", "frame"), [(0, 1), (0, 3), (2, 1), (4, 3)])
def test_the_past_is_written_from_its_end_and_the_future_from_its_start(
    n_future, frame
):
    network = RecurrentNet((7, 2), hidden_size=4, frame_size=frame, n_future=n_future)
    _, decoder = build(network, 14)
    code = torch.randn(5, 3)
    steps = decoder(code).view(5, 7, 2)
    # No frame depends on one that is written after it: set the clock of the last.
    past = decoder.past
    n_read = 7 - n_future
    past.clock[-1] += 1.0
    moved = (decoder(code).view(5, 7, 2) != steps).any(dim=2).all(dim=0)
    written_last = (n_read - 1) % frame + 1
    assert moved.nonzero().flatten().tolist() == list(range(written_last))
    if n_future:
        past.clock[-1] -= 1.0
        decoder.future.clock[-1] += 1.0
        moved = (decoder(code).view(5, 7, 2) != steps).any(dim=2).all(dim=0)
        written_last = (n_future - 1) % frame + 1
        assert moved.nonzero().flatten().tolist() == list(range(7 - written_last, 7))


def test_the_encoder_does_not_see_the_future():
    encoder, _ = build(RecurrentNet((7, 2), n_future=3), 14)
    rows = torch.randn(5, 14)
    code = encoder(rows)
    changed = rows.clone()
    changed[:, 8:] += 1.0
    assert torch.equal(encoder(changed), code)
    changed[:, 6] += 1.0
    assert not torch.isclose(encoder(changed), code).any()


def test_weights_are_torchs_and_an_lstm_starts_by_remembering():
    encoder, decoder = build(RecurrentNet((7, 2), hidden_size=16, frame_size=1), 14)
    for layer in [encoder.layers[0][0], *decoder.past.layers]:
        assert 0.24 < layer.state_weight.abs().max() <= 0.25
        forget = (layer.input_bias + layer.state_bias)[16:32]
        torch.testing.assert_close(forget, torch.ones(16))


def test_the_same_seed_gives_the_same_weights_and_no_global_one_is_touched():
    before = torch.get_rng_state()
    first, second = build(SERIES, 24), build(SERIES, 24)
    for one, other in zip(first, second, strict=True):
        for ours, theirs in zip(one.parameters(), other.parameters(), strict=True):
            assert torch.equal(ours, theirs)
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_in_one_piece_are_the_same_and_have_their_gradients():
    whole = torch.randn(30)
    weights = [whole[3:9].view(3, 2).requires_grad_(), whole[20:24].requires_grad_()]
    pieces = in_one_piece(weights)
    assert pieces[0].storage_offset() == 0
    assert pieces[1].data_ptr() == pieces[0].data_ptr() + 6 * 4
    for piece, weight in zip(pieces, weights, strict=True):
        assert torch.equal(piece, weight)
        (gradient,) = torch.autograd.grad(piece.sum(), weight, retain_graph=True)
        assert torch.equal(gradient, torch.ones_like(weight))


def test_dropout_is_drawn_in_training_alone():
    network = RecurrentNet((7, 2), hidden_size=4, dropout=0.5)
    encoder, decoder = build(network, 14)
    rows = torch.randn(3, 14)
    for part in (encoder, decoder):
        inputs = rows if part is encoder else rows[:, :3]
        assert not torch.equal(part(inputs), part(inputs))
        part.eval()
        assert torch.equal(part(inputs), part(inputs))


# -- estimators -----------------------------------------------------------------------


def gaps(n_rows=120):
    """Series of unequal length, one of a step alone and one without any, and a gap."""
    rows = waves(n_rows).reshape(n_rows, *SHAPE)
    lengths = np.random.default_rng(1).integers(4, 13, size=n_rows)
    lengths[:3] = 1, 0, 12
    for row, length in zip(rows, lengths, strict=True):
        row[length:] = np.nan
    rows[5, 2, 1] = np.nan
    return rows.reshape(n_rows, -1)


@pytest.mark.parametrize(
    "estimator",
    [
        AutoEncoderTransformer(3, network=SERIES, **FAST),
        AutoEncoderTransformer(3, network=SERIES, init="random", **FAST),
        AutoEncoderTransformer(3, network=SERIES, ordered=True, **FAST),
        AutoEncoderTransformer(3, network=SERIES, precision="bf16", **FAST),
        DenoisingAutoEncoderTransformer(3, network=SERIES, **FAST),
        DenoisingAutoEncoderTransformer(3, network=SERIES, init="random", **FAST),
        VAETransformer(3, network=SERIES, **FAST),
        # Long enough for its components to tell something: else it warns.
        VAETransformer(
            3,
            network=SERIES,
            init="random",
            beta=0.01,
            lr=0.02,
            max_epochs=20,
            random_state=0,
        ),
    ],
    ids=lambda e: f"{type(e).__name__}-{e.init}-{e.precision}",
)
@pytest.mark.parametrize("padded", [False, True], ids=["whole", "padded"])
def test_every_objective_trains_and_comes_back(estimator, padded, tmp_path):
    rows = gaps() if padded else X
    estimator = clone(estimator).set_params(allow_missing=padded)
    codes = estimator.fit(rows).transform(rows)
    assert codes.shape == (120, 3)
    restored = estimator.inverse_transform(codes)
    assert restored.shape == rows.shape
    assert np.isfinite(codes).all()
    assert np.isfinite(restored).all()
    np.testing.assert_array_equal(clone(estimator).fit(rows).transform(rows), codes)
    estimator.save(tmp_path / "model")
    for again in (
        sk_autoencoder.load(tmp_path / "model"),
        pickle.loads(pickle.dumps(estimator)),
    ):
        np.testing.assert_array_equal(again.transform(rows), codes)


def test_recurrent_net_starts_as_pca_and_learns():
    rows = waves(400, (24, 2))
    network = RecurrentNet((24, 2), hidden_size=16)
    start = AutoEncoderTransformer(3, network=network, max_epochs=0).fit(rows)
    pca = PCA(3).fit(rows)
    np.testing.assert_allclose(
        np.abs(start.transform(rows)), np.abs(pca.transform(rows)), atol=1e-6
    )
    trained = AutoEncoderTransformer(
        3, network=network, max_epochs=30, random_state=0
    ).fit(rows)
    unseen = waves(200, (24, 2), seed=1)
    assert not trained.fell_back_to_pca_
    assert 1 - trained.score(unseen) < 0.7 * (1 - start.score(unseen))


def test_padded_series_start_as_pca_too():
    reducer = AutoEncoderTransformer(
        3, network=SERIES, allow_missing=True, max_epochs=0
    ).fit(gaps())
    module, code = reducer.module_, torch.randn(4, 3)
    assert not module.decoder.network(code).any()
    inputs = module.columns.encode(torch.tensor(gaps()[:9]).float())
    assert not module.encoder.network(inputs).any()


def test_missing_cells_at_the_end_reach_the_network_as_padding():
    network = RecurrentNet(SHAPE, hidden_size=5, frame_size=1)
    reducer = AutoEncoderTransformer(
        3, network=network, init="random", allow_missing=True, **FAST
    ).fit(gaps())
    module = reducer.module_.double()
    one_step = module.columns.encode(torch.tensor(gaps()[:1]))
    whole = module.encoder(one_step)
    module.encoder.network.n_read = 1
    torch.testing.assert_close(module.encoder(one_step), whole)


def test_a_step_that_never_varies_keeps_its_place():
    """The columns leave it out; the network gets 0 there, as without a table."""
    rows = X.copy()
    rows[:, 6:8] = 1.5
    plain = AutoEncoderTransformer(3, network=SERIES, init="random", **FAST).fit(rows)
    weighted = clone(plain).set_params(column_weights=np.ones(24)).fit(rows)
    one, other = plain.module_, weighted.module_
    assert other.columns.n_outputs == 22
    assert other.encoder.network.output.in_features == 10
    inputs = torch.randn(4, 24)
    inputs[:, 6:8] = 0.0
    kept = [i for i in range(24) if i not in (6, 7)]
    # The same weights, drawn from the same seed, move in training: copy them.
    other.encoder.network.load_state_dict(one.encoder.state_dict())
    other.decoder.network.load_state_dict(one.decoder.state_dict())
    code = one.encoder(inputs)
    torch.testing.assert_close(other.encoder(inputs[:, kept]), code)
    torch.testing.assert_close(other.decoder(code), one.decoder(code)[:, kept])
    np.testing.assert_allclose(weighted.reconstruct(rows)[:, 6:8], 1.5, atol=1e-6)


def test_what_comes_next_is_predicted():
    """Waves go on: the steps not seen are told better than by their mean."""
    network = RecurrentNet((24, 2), hidden_size=16, n_future=6)
    rows, unseen = waves(400, (24, 2)), waves(200, (24, 2), seed=1)
    reducer = AutoEncoderTransformer(
        4, network=network, init="random", max_epochs=35, random_state=0
    ).fit(rows)
    errors = reducer.reconstruction_error(unseen, per_feature=True).mean(axis=0)
    corrupted = unseen.copy()
    corrupted[:, 36:] = 100.0
    np.testing.assert_array_equal(
        reducer.transform(corrupted), reducer.transform(unseen)
    )
    assert errors[36:].mean() < 0.3 * unseen[:, 36:].var(axis=0).mean()


def test_its_learning_rate_is_its_own_unless_one_is_given():
    params = {"network": SERIES, "max_epochs": 1}
    automatic = AutoEncoderTransformer(2, **params).fit(X)
    assert automatic.net_.lr == pytest.approx(5e-3)
    assert AutoEncoderTransformer(2, lr=1e-3, **params).fit(X).net_.lr == 1e-3
    plain = AutoEncoderTransformer(2, optimizer="sgd", **params).fit(X)
    assert plain.net_.lr == pytest.approx(0.75)


def test_its_parameters_can_be_searched_over():
    search = GridSearchCV(
        AutoEncoderTransformer(3, network=SERIES, **FAST),
        {"network__hidden_size": [3, 6], "network__cell": ["lstm", "gru"]},
        scoring=reconstruction_scorer,
        cv=2,
    )
    search.fit(X)
    assert len(search.cv_results_["params"]) == 4
    assert SERIES.hidden_size == 5


@checks_of(
    [
        AutoEncoderTransformer(
            n_components=1, network=RecurrentNet(hidden_size=4), max_epochs=2
        ),
    ],
    synonyms=False,
)
def test_recurrent_net_passes_the_estimator_checks(estimator, check):
    check(estimator)


# -- errors ---------------------------------------------------------------------------

ADVICE = {
    "input_shape": [
        ((24,), "expected (n_steps, n_channels), got input_shape=(24,). Pass e.g. "),
        ((0, 24), "expected a tuple of ints >= 1, got input_shape=(0, 24). Pass e.g. "),
    ],
    "cell": [("rnn", "parameter of RecurrentNet must be a str among {")],
    "hidden_size": [
        (0, "an int in the range [1, inf) or an array-like. Got 0 instead."),
        ((), "got hidden_size=() and n_layers=1. Pass n_layers="),
        ((4, 0), "expected a tuple of ints >= 1, got hidden_size=(4, 0)."),
        ("big", "Got 'big' instead."),
        (2.5, "Got 2.5 instead."),
        (
            (4, 4),
            "expected as many sizes as layers, got hidden_size=(4, 4) and n_layers=1. "
            "Pass n_layers=2, or an int.",
        ),
    ],
    "n_layers": [(0, "'n_layers' parameter of RecurrentNet must be an int in the")],
    "frame_size": [
        (0, "an int in the range [1, inf) or a str among {'auto'}. Got 0 instead."),
        ("all", "Got 'all' instead."),
    ],
    "dropout": [(1.0, "a float in the range [0.0, 1.0). Got 1.0 instead.")],
    "n_future": [
        (
            12,
            "expected n_future from 0 to n_steps - 1 = 11, got n_future=12. Pass fewer "
            "steps to predict, or longer series.",
        ),
        (-1, "an int in the range [0, inf). Got -1 instead."),
    ],
}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [(name, *case) for name, cases in ADVICE.items() for case in cases],
)
def test_bad_parameters_are_named(name, value, message):
    network = RecurrentNet(SHAPE).set_params(**{name: value})
    with pytest.raises(ValueError, match=re.escape(message)):
        AutoEncoderTransformer(2, network=network, init="random", max_epochs=1).fit(X)


@pytest.mark.parametrize(
    ("shape", "guess"),
    [
        ((12, 3), "which would be 2 channels of 12 steps"),
        ((2, 6), "which would be 12 channels of 2 steps"),
        ((10, 2), "which would be 12 steps of 2 channels"),
        ((5, 5), "got X with 24 features. Pass network=RecurrentNet("),
    ],
)
def test_a_shape_that_does_not_fit_is_guessed(shape, guess):
    message = f"expected series of input_shape={shape}, {math.prod(shape)} features, "
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        AutoEncoderTransformer(2, network=RecurrentNet(shape), max_epochs=1).fit(X)
    assert guess in str(caught.value)
    assert str(caught.value).endswith("whose product is X.shape[1].")


def test_pca_would_see_the_future():
    network = RecurrentNet(SHAPE, n_future=3)
    message = (
        "expected init='random' for n_future=3, got init='pca', which sees the steps "
        "that are to be predicted. Pass init='random', or n_future=0."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        AutoEncoderTransformer(2, network=network).fit(X)


def test_series_that_end_before_the_future_are_refused():
    rows = gaps()[3:]
    rows[:, 18:] = np.nan
    rows[0, 18:] = 1.0  # one goes on: nothing to learn there either
    message = (
        "expected series that go on after step 9 of 12, got n_future=3 and X without "
        "values that differ there. Pass a smaller n_future, or longer series."
    )
    reducer = AutoEncoderTransformer(
        2, network=RecurrentNet(SHAPE, n_future=3), init="random", allow_missing=True
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        reducer.fit(rows)


def test_steps_without_any_value_come_back_missing():
    rows = gaps()
    rows[:, 22:] = np.nan
    reducer = AutoEncoderTransformer(
        2, network=SERIES, allow_missing=True, max_epochs=2, random_state=0
    )
    message = "expected at least one value in each column, got X with none in column 22"
    with pytest.warns(UserWarning, match=re.escape(message)):
        reducer.fit(rows)
    restored = reducer.reconstruct(rows).reshape(len(rows), -1)
    assert np.isnan(restored[:, 22:]).all()
    assert np.isfinite(restored[:, :22]).all()


def test_categories_are_refused():
    rows = X.copy()
    rows[:, 3] = rows[:, 3] > 0
    reducer = AutoEncoderTransformer(2, network=SERIES, categorical_features=[3])
    message = (
        f"expected columns of numbers for network={SERIES!r}, got categories in [3]. "
        "Pass network=None, or rows without them."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        reducer.fit(rows)


def test_hidden_features_are_refused():
    with pytest.raises(ValueError, match="expected a network of dense layers"):
        DenoisingAutoEncoderTransformer(features="hidden", network=SERIES).fit(X)
