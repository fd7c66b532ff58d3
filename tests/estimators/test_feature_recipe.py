"""Hidden features at the defaults: how they are trained, and for what."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import sk_autoencoder
from sk_autoencoder import DenoisingAutoEncoderTransformer
from sk_autoencoder._columns import JoinedColumns, Table
from sk_autoencoder.networks import MLP

SMALL = {"hidden_layer_sizes": (12, 8), "max_epochs": 3, "random_state": 0}


def table(n=200):
    rng = np.random.default_rng(0)
    age = rng.normal(40, 10, n).round()
    city = pd.Categorical(np.where(age > 45, "a", rng.choice(["b", "c"], n)))
    return pd.DataFrame({"age": age, "pay": age + rng.normal(size=n), "city": city})


def hidden(**params):
    return DenoisingAutoEncoderTransformer(features="hidden", **{**SMALL, **params})


def layers_of(model, kind):
    return [part for part in model.module_.encoder.modules() if isinstance(part, kind)]


def test_hidden_features_have_a_recipe_of_their_own():
    model = hidden().fit(table())
    config = model.net_.config
    assert len(layers_of(model, nn.LayerNorm)) == len(layers_of(model, nn.SiLU)) == 2
    assert (config.optimizer, config.lr) == (torch.optim.Adam, 2e-3)
    assert config.optimizer_args["weight_decay"] == 0
    assert config.lr_schedule == "warmup_cosine"
    assert model.module_.detector.out_features == 3


def test_a_bottleneck_has_what_the_other_classes_have():
    model = DenoisingAutoEncoderTransformer(2, **SMALL).fit(table())
    config = model.net_.config
    assert layers_of(model, nn.SiLU)
    assert not layers_of(model, nn.LayerNorm)
    assert (config.optimizer, config.lr_schedule) == (torch.optim.AdamW, None)


def test_explicit_values_are_used_as_given():
    model = hidden(
        activation="relu", dropout=0.1, optimizer="sgd", lr_schedule=None
    ).fit(table())
    config = model.net_.config
    assert layers_of(model, nn.ReLU)
    assert not layers_of(model, nn.SiLU)
    assert (config.optimizer, config.lr_schedule) == (torch.optim.SGD, None)
    assert any(type(part).__name__ == "Dropout" for part in model.module_.modules())


def test_batches_are_normalized_in_place_of_units_where_that_is_asked_for():
    model = hidden(batch_norm=True).fit(table())
    assert layers_of(model, nn.BatchNorm1d)
    assert not layers_of(model, nn.LayerNorm)


def test_a_network_of_ones_own_is_trained_as_before():
    network = MLP((12, 8), activation="relu")
    params = {**SMALL, "hidden_layer_sizes": "auto", "network": network}
    model = hidden(**params).fit(table())
    assert layers_of(model, nn.ReLU)
    assert not layers_of(model, nn.LayerNorm)
    assert not hasattr(model.module_, "detector")
    assert model.net_.config.lr_schedule is None


@pytest.mark.parametrize("params", [{"noise": "gaussian"}, {"noise_level": 0.0}])
def test_only_swaps_are_detected(params):
    assert not hasattr(hidden(**params).fit(table()).module_, "detector")


def test_the_schedule_is_not_cut_short():
    noise = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    model = hidden(max_epochs=450, lr=0.05, batch_size=64).fit(noise)
    assert model.n_iter_ == 450
    assert hidden(max_epochs=50, lr=0.5, n_iter_no_change=1).fit(noise).n_iter_ < 50


def test_passes_end_at_no_lower_learning_rate():
    model = hidden()
    for _ in range(20):  # a hundred steps raise it
        model.partial_fit(table())
    assert model.net_.optimizer_.param_groups[0]["lr"] == 2e-3
    assert hidden(lr_schedule=0.5).partial_fit(table()).net_.config.lr_schedule == 0.5


@pytest.mark.parametrize("warm_start", [False, True])
def test_files_hold_the_detector(tmp_path, warm_start):
    X = table()
    model = hidden(warm_start=warm_start).fit(X)
    model.save(tmp_path / "model", optimizer=True)
    again = sk_autoencoder.load(tmp_path / "model")
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    for one in (model, again):
        one.fit(X)
    np.testing.assert_array_equal(again.transform(X), model.transform(X))


def test_a_swap_counts_where_it_changes_a_cell():
    X = table()
    X["age"] = X["age"].where(np.arange(len(X)) % 3 > 0)
    model = hidden(allow_missing=True, noise_level=0.5).fit(X)
    module = model.module_
    x = torch.from_numpy(model._check_rows(X)).float() - module.columns.mean
    module.use_generator(torch.Generator().manual_seed(0))
    noisy = module.objective.noisy(x, module.columns, module.generator)
    module.use_generator(torch.Generator().manual_seed(0))
    output = raw, code, changed, _ = module.validation_output(x)
    one, other = x.numpy(), noisy.numpy()
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    np.testing.assert_array_equal(changed.numpy(), ~same)
    assert 0.1 < changed.mean() < 0.5
    weight, bias = (p.detach().numpy() for p in module.detector.parameters())
    p = 1 / (1 + np.exp(-(code[:, -8:].detach().numpy() @ weight.T + bias)))
    entropy = -np.log(np.where(same, 1 - p, p)).mean(axis=1)
    found = module.per_sample_loss(output, x) - module.columns.per_sample_loss(raw, x)
    np.testing.assert_allclose(found.detach(), 4 * entropy, rtol=1e-4)
    terms = module.loss_terms(output, x)
    both = module.objective.combine(terms)
    mean = module.per_sample_loss(output, x).mean().item()
    assert both.item() == pytest.approx(mean, rel=1e-5)


def constant_and_other_numbers():
    X = np.random.default_rng(0).normal(size=(200, 4))
    X[:, 1] = 3.0
    return X


def missing_cells():
    X = table()
    X.loc[::3, "age"] = np.nan
    X.loc[::7, "city"] = np.nan
    return X


@pytest.mark.parametrize(
    ("X", "params"),
    [
        (table(), {}),
        (missing_cells(), {"allow_missing": True}),
        (table(), {"feature_groups": [["age", "pay"]]}),
        (constant_and_other_numbers(), {"numeric_scaling": "standard"}),
        (constant_and_other_numbers()[:, [0, 2]], {"numeric_scaling": "minmax"}),
    ],
)
def test_swapped_cells_are_encoded_in_the_rows_that_they_come_from(X, params):
    model = hidden(noise_level=0.5, **params).fit(X)
    module, columns = model.module_, model.module_.columns
    x = torch.from_numpy(model._check_rows(X)).float() - columns.mean
    draws = [torch.Generator().manual_seed(0) for _ in range(2)]
    noisy = module.objective.noisy(x, columns, draws[0])
    donors = module.objective.donors(x, columns, draws[1])
    inputs = columns.encode(x)
    swapped = columns.swapped(inputs, donors)
    assert not torch.equal(swapped, inputs)
    torch.testing.assert_close(swapped, columns.encode(noisy), rtol=0, atol=0)
    module.use_generator(torch.Generator().manual_seed(0))
    output = raw, *_ = module.validation_output(x)
    torch.testing.assert_close(raw, module._output(swapped)[0], rtol=0, atol=0)
    assert output[3].equal(inputs)
    losses = columns.per_sample_loss(raw, x)
    assert columns.loss_of_inputs(raw, x, inputs).equal(losses)


def test_rows_without_a_donor_are_not_swapped():
    model = hidden().fit(table())
    module, noise = model.module_, model.module_.objective
    one = torch.zeros(1, 3)
    assert noise.donors(one, module.columns, module.generator) is None
    raw, _, changed, inputs = module.validation_output(one)
    assert not changed.any()
    assert raw.equal(module._output(inputs)[0])


def test_errors_are_the_mean_square_of_all_that_is_decoded():
    X = table().assign(flag=pd.Categorical(["x", "y"] * 100), two=[0.0, 1.0] * 100)
    frame = Table.of(
        X,
        categorical_features="from_dtype",
        scaling="standard+rank_gauss",
        column_weights=None,
        allow_missing=False,
        handle_unknown="ignore",
        keeps_binary=True,
    )
    columns = JoinedColumns(frame, squared=True)
    model = hidden().fit(X)
    rows = model._check_rows(X)
    x = torch.from_numpy(rows).float()
    inputs = columns.encode(x)
    # Two codings of two numbers, three levels, a flag of levels, one of numbers.
    assert inputs.shape[1] == 4 + 3 + 1 + 1
    raw = torch.zeros_like(inputs)
    squares = np.square(inputs.numpy()).mean(axis=1)
    np.testing.assert_allclose(columns.per_sample_loss(raw, x), squares, rtol=1e-5)
    np.testing.assert_array_equal(np.unique(inputs[:, 4:8]), [0, 1])
