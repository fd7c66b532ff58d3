"""Copies of a module in another dtype."""

import numpy as np
import torch
from torch import nn

from sk_autoencoder._utils.float64_buffers import Float64Buffers, in_dtype


class Known(Float64Buffers):
    def __init__(self):
        super().__init__()
        self.write("third", np.array([1 / 3]))


class Whole(nn.Module):
    """Two layers of one weight, each known by another name, and what stays as it is."""

    def __init__(self):
        super().__init__()
        self.known, self.first, self.second = Known(), nn.Linear(2, 2), nn.Linear(2, 2)
        self.second.weight = self.first.weight
        self.first.bias.requires_grad_(False)
        self.also = [self.first]
        self.plain = torch.ones(1)
        self.register_buffer("count", torch.tensor(3))
        self.recurrent = nn.GRU(2, 2)


def test_a_copy_shares_nothing_and_keeps_what_belongs_together():
    module = Whole()
    copied = in_dtype(module, torch.float64)
    assert copied.second.weight is copied.first.weight
    assert copied.also == [copied.first]
    assert not copied.first.bias.requires_grad
    assert copied.first.weight.requires_grad
    assert copied.plain.dtype == torch.float32
    assert copied.count.dtype == torch.int64
    assert copied.known.third.item() == 1 / 3
    tensors = [*module.parameters(), *module.buffers()]
    others = [*copied.parameters(), *copied.buffers()]
    for tensor, other in zip(tensors, others, strict=True):
        torch.testing.assert_close(tensor.double(), other.double(), rtol=1e-7, atol=0)
        before = tensor.clone()
        other.data += 1
        assert torch.equal(tensor, before)
    copied.recurrent(torch.zeros(3, 1, 2, dtype=torch.float64))
    called = []
    copied.first.register_forward_hook(lambda *_: called.append(1))
    module.first(torch.zeros(1, 2))
    assert not called


def test_a_module_in_the_dtype_is_itself():
    module = nn.Linear(2, 2)
    assert in_dtype(module, torch.float32) is module
