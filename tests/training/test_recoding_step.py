"""The step by hand of what puts codes in order, against autograd."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from sk_autoencoder import AutoEncoderTransformer, DenoisingAutoEncoderTransformer
from sk_autoencoder._training.fast.fused import fast_step
from sk_autoencoder._training.fast.recoding import RecodingStep
from sk_autoencoder.networks import ConvNet

X = load_digits().data[:200] / 16
SHORT = {
    "ordered": True,
    "max_epochs": 2,
    "early_stopping": False,
    "random_state": 0,
}


@pytest.mark.parametrize(
    "model",
    [
        AutoEncoderTransformer(6, hidden_layer_sizes=(16,), **SHORT),
        AutoEncoderTransformer(
            2, hidden_layer_sizes=(16, 8), activation="elu", **SHORT
        ),
        AutoEncoderTransformer(3, loss="binary_cross_entropy", **SHORT),
        DenoisingAutoEncoderTransformer(5, hidden_layer_sizes=(16,), **SHORT),
    ],
    ids=str,
)
def test_gradient_and_loss_are_autograds(model):
    net = model.fit(X)._fitted.prefix_net
    module, flat = net.module_, net.flat_
    net.average_.unapply()
    step = fast_step(module, flat, "float32")
    assert isinstance(step, RecodingStep)
    torch.manual_seed(0)
    flat.vector.data.add_(0.1 * torch.randn_like(flat.vector.data))
    module.train()
    rows = torch.from_numpy(X - X.mean(axis=0)).float()
    for x in (rows[:64], rows[64:], rows[:64]):
        flat.attach()
        before = module.generator.get_state()
        loss, terms = step(x, x)
        by_hand = flat.gradient.clone()
        module.generator.set_state(before)
        flat.gradient.zero_()
        expected = module.loss_terms(module(x), x)["reconstruction"]
        expected.backward()
        assert terms == {}
        assert loss == pytest.approx(expected.item(), rel=1e-5)
        size = flat.gradient.abs().max().item()
        assert size > 0
        np.testing.assert_allclose(by_hand, flat.gradient, rtol=1e-3, atol=1e-5 * size)


def test_networks_of_other_layers_are_left_to_autograd():
    network = ConvNet(input_shape=(1, 8, 8), channels=(4,))
    model = AutoEncoderTransformer(3, network=network, **SHORT).fit(X)
    net = model._fitted.prefix_net
    assert fast_step(net.module_, net.flat_, "float32") is None
