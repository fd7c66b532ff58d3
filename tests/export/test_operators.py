"""Functions of torch, recorded and run by ONNX Runtime, give what torch gives."""

import numpy as np
import onnx
import pytest
import torch
from onnx_sessions import session_of
from torch import nn
from torch.nn import functional as F

from sk_autoencoder.export._assemble import EMITTERS
from sk_autoencoder.export._graph import Graph, to_model
from sk_autoencoder.export._record import Unsupported, record
from sk_autoencoder.export._translator import Translator

N_COLUMNS = 12
WEIGHT = torch.linspace(-1, 1, N_COLUMNS * 4).reshape(4, N_COLUMNS)
TRIANGLE = torch.tril(torch.ones(N_COLUMNS, N_COLUMNS)) + torch.eye(N_COLUMNS)


def exported(function, dtype, module=None):
    """A session that computes a function of a module and rows."""
    module = nn.Identity() if module is None else module
    example = np.random.default_rng(0).normal(size=(5, N_COLUMNS))
    recording = record(function, module, example, getattr(torch, dtype))
    graph = Graph()
    rows = graph.input("X", dtype, N_COLUMNS)
    (result,) = Translator(graph, EMITTERS).add(recording, rows)
    (ref,) = recording.outputs
    name = str(ref.dtype).removeprefix("torch.")
    graph.output("Y", result, name, *ref.shape[1:])
    model = to_model(graph, text="")
    onnx.checker.check_model(model, full_check=True)
    return session_of(model)


def image(x):
    return x.reshape(-1, 1, 3, 4)


def signal(x):
    return x.reshape(len(x), 2, 6)


def write_to_a_part(x):
    x = x * 1
    x[:, 2:4] += 1
    x[:, 5] = x[:, 0]
    return x


FUNCTIONS = {
    **{
        name: getattr(torch, name)
        for name in (
            *("neg", "abs", "sign", "floor", "ceil", "round", "reciprocal", "exp"),
            *("sin", "cos", "atan", "sinh", "asinh", "erf", "tanh", "sigmoid"),
            *("isnan", "isinf", "square", "expm1"),
        )
    },
    **{name: getattr(F, name) for name in ("relu", "gelu", "elu", "selu", "celu")},
    **{name: getattr(F, name) for name in ("silu", "mish", "softplus", "softsign")},
    **{name: getattr(F, name) for name in ("hardtanh", "hardswish", "logsigmoid")},
    **{name: getattr(F, name) for name in ("hardsigmoid", "relu6", "leaky_relu")},
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "threshold": lambda x: F.threshold(x, 0.1, 0.5),
    "glu": lambda x: F.glu(x, dim=1),
    "log and roots": lambda x: x.abs().log1p() + (x * x + 1).rsqrt() + x.abs().sqrt(),
    "logit": lambda x: torch.logit(torch.sigmoid(x)),
    "add alpha": lambda x: torch.add(x, x.square(), alpha=0.3) - 2 * (1 - x),
    "pow": lambda x: x**2 + x.abs() ** 1.5,
    "divide": lambda x: x / (x.abs() + 1) / 3,
    "maximum": lambda x: torch.maximum(x, -x * 2) + torch.minimum(x, x.cos()),
    "compare": lambda x: ((x > 0.1) & (x <= 1) | ~(x < -1) ^ (x >= 0)) & (x != 5),
    "compare whole numbers": lambda x: (x * 3).long() > 0.5,
    "where": lambda x: torch.where(x > 0, x, 2.0).masked_fill(x < -1, -5.0),
    "clamp": lambda x: x.clamp(-0.5, 0.5) + x.clamp(min=0) + x.clamp(max=1),
    "nan_to_num": lambda x: (x.clamp(min=0).log() * x.sign()).nan_to_num(7.0, 8.0, 9.0),
    "linear": lambda x: F.linear(x, WEIGHT.to(x)),
    "matmul": lambda x: (x.reshape(-1, 3, 4) @ x.reshape(-1, 4, 3)).flatten(1),
    "addmm": lambda x: torch.addmm(x[:, :4], x, WEIGHT.to(x).T, beta=2, alpha=0.5),
    "mv": lambda x: x @ WEIGHT.to(x)[0],
    "einsum": lambda x: torch.einsum("ni,ki->nk", x, WEIGHT.to(x)),
    "triangular": lambda x: (
        torch.linalg.solve_triangular(TRIANGLE.to(x), x.T, upper=False).T
    ),
    "sums": lambda x: x.sum(1, keepdim=True) + x.mean(dim=1, keepdim=True),
    "prod": lambda x: x.prod(dim=1) + x.amax(1) - x.amin(1),
    "max": lambda x: x.max(dim=1).values + x.min(dim=1).values,
    "argmax": lambda x: x.argmax(dim=1, keepdim=True) + x.max(dim=1)[1].unsqueeze(1),
    "any": lambda x: (x > 1.5).any(dim=1) | (x > -1).all(dim=1),
    "var": lambda x: x.var(dim=1) + x.var(dim=1, correction=0),
    "norm": lambda x: torch.linalg.vector_norm(x, dim=1) + x.norm(p=1, dim=1),
    "softmax": lambda x: F.softmax(x, 1) + F.log_softmax(x, dim=-1),
    "logsumexp": lambda x: torch.logaddexp(x.logsumexp(dim=1), x[:, 0]),
    "cumsum": lambda x: x.cumsum(1),
    "cross-entropy": lambda x: F.cross_entropy(
        x[:, :5], x[:, 5:10].argmax(1), reduction="none"
    ),
    "binary cross-entropy": lambda x: F.binary_cross_entropy_with_logits(
        x, x.sigmoid(), reduction="none"
    ),
    "view": lambda x: x.view(-1, 3, 4).transpose(1, 2).reshape(len(x), -1),
    "permute": lambda x: x.reshape(-1, 2, 2, 3).permute(0, 3, 1, 2).flatten(1),
    "rows into one axis": lambda x: x.reshape(-1, 4).cumsum(1).reshape(len(x), 12),
    "squeeze": lambda x: x.unsqueeze(1).squeeze(1).unsqueeze(-1).squeeze(2),
    "expand": lambda x: x[:, :1].expand(-1, 5) + x[:, 1:2].repeat(1, 5),
    "repeat rows": lambda x: x.unsqueeze(0).expand(2, -1, -1).sum(0),
    "slices": lambda x: torch.cat([x[:, 1:7:2], x[:, -3:], x[:, 4].unsqueeze(1)], 1),
    "stack": lambda x: torch.stack([x, x * 2], dim=1).flatten(1),
    "split": lambda x: torch.cat([*x.split([2, 10], dim=1), *x.chunk(2, dim=1)], dim=1),
    "unbind": lambda x: sum(x.unbind(1)),
    "flip": lambda x: x.flip(1),
    "pad": lambda x: F.pad(image(x), (1, 2, 0, 3), value=1.5).flatten(1),
    "zeros by row": lambda x: torch.cat([x, torch.zeros(len(x), 2).to(x)], dim=1),
    "constants by row": lambda x: torch.cat(
        [x, WEIGHT[:1].to(x).expand(len(x), -1)], 1
    ),
    "like": lambda x: torch.ones_like(x) + torch.full_like(x, 2.0) * x,
    "index": lambda x: x[:, torch.tensor([3, 1, 1])],
    "index_select": lambda x: x.index_select(1, torch.tensor([3, 1])),
    "index_copy": lambda x: x.new_zeros((len(x), 14)).index_copy_(
        1, torch.tensor([13, *range(11)]), x
    ),
    "gather": lambda x: x.gather(1, x.argmax(1, keepdim=True)),
    "scatter": lambda x: torch.zeros_like(x).scatter_(
        1, x.argmax(1, keepdim=True), 3.0
    ),
    "embedding_bag": lambda x: F.embedding_bag(
        (x[:, :6] > 0).long(), WEIGHT.to(x), mode="sum"
    ),
    "scatter_reduce": lambda x: x[:, :3].scatter_reduce(
        1, torch.arange(12).remainder(3).expand_as(x), x, "amax"
    ),
    "inference mode": torch.inference_mode()(lambda x: F.linear(x, WEIGHT.to(x))),
    "embedding": lambda x: F.embedding(x[:, :4].argmax(1), WEIGHT.to(x)),
    "searchsorted": lambda x: torch.searchsorted(
        torch.linspace(-1, 1, 7).to(x), x.contiguous()
    ),
    "searchsorted right": lambda x: (
        torch.searchsorted(
            WEIGHT.sort(1).values.to(x), x[:, :4].T.round().contiguous(), right=True
        ).T
    ),
    "cast": lambda x: (x * 3).long().to(x) + (x > 0).to(x) + x.double().to(x),
    "in place": lambda x: (x * 2).add_(1).mul_(x).tanh_().sub_(x),
    "in place, a part": write_to_a_part,
    "max_pool": lambda x: F.max_pool2d(image(x), 2, 1, 1).flatten(1),
    "max_pool1d": lambda x: F.max_pool1d(signal(x), 3, ceil_mode=True).flatten(1),
    "avg_pool": lambda x: F.avg_pool2d(image(x), 2, 1, 1).flatten(1),
    "avg_pool1d": lambda x: F.avg_pool1d(signal(x), 2).flatten(1),
    "adaptive": lambda x: F.adaptive_avg_pool2d(image(x), (3, 2)).flatten(1),
    "adaptive to one": lambda x: F.adaptive_avg_pool1d(signal(x), 1).flatten(1),
    "nearest": lambda x: F.interpolate(image(x), (5, 9)).flatten(1),
    "nearest1d": lambda x: F.interpolate(signal(x), scale_factor=2).flatten(1),
    "bilinear": lambda x: F.interpolate(image(x), (5, 9), mode="bilinear").flatten(1),
    "corners": lambda x: F.interpolate(
        signal(x), 9, mode="linear", align_corners=True
    ).flatten(1),
    "attention": lambda x: F.scaled_dot_product_attention(
        *[x.reshape(-1, 1, 4, 3)] * 3
    ).flatten(1),
}

MODULES = {
    "conv": (nn.Conv2d(1, 3, 2, stride=2, padding=1), image),
    "conv1d, groups": (nn.Conv1d(2, 4, 3, groups=2, dilation=2, bias=False), signal),
    "transposed": (
        nn.ConvTranspose2d(1, 2, 3, stride=2, padding=1, output_padding=1),
        image,
    ),
    "batch norm": (nn.BatchNorm2d(1), image),
    "batch norm, plain": (nn.BatchNorm1d(12, affine=False), lambda x: x),
    "layer norm": (nn.LayerNorm([6]), signal),
    "layer norm, plain": (nn.LayerNorm([2, 6], elementwise_affine=False), signal),
    "group norm": (nn.GroupNorm(2, 2), signal),
    "prelu": (nn.PReLU(2), signal),
    "lstm": (nn.LSTM(6, 3, batch_first=True, bidirectional=True), signal),
    "gru": (nn.GRU(6, 3, batch_first=True), signal),
    "rnn": (nn.RNN(6, 3, batch_first=True), signal),
    "linear": (nn.Linear(6, 2), signal),
}


def check(session, function, module, dtype):
    rows = np.random.default_rng(1).normal(size=(1000, N_COLUMNS)).astype(dtype)
    module = module.to(getattr(torch, dtype))
    for n in (1, 7, 1000):
        with torch.no_grad():
            expected = function(module, torch.from_numpy(rows[:n])).numpy()
        (found,) = session.run(None, {"X": rows[:n]})
        assert found.dtype == expected.dtype
        scale = np.abs(expected).max() if expected.dtype.kind == "f" else 0
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-6 * scale)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_give_what_torch_gives(name, dtype):
    def apply(_, x):
        return FUNCTIONS[name](x)

    check(exported(apply, dtype), apply, nn.Identity(), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", MODULES)
def test_modules_give_what_torch_gives(name, dtype):
    module, shape = MODULES[name]
    for part in module.modules():
        if getattr(part, "running_var", None) is not None:
            part.running_var.uniform_(0.5, 2.0)

    def apply(module, x):
        found = module(shape(x))
        found = found[0] if isinstance(found, tuple) else found
        return found.flatten(1)

    check(exported(apply, dtype, module.eval()), apply, module.eval(), dtype)


def takes_turns(x):
    return x if len(x) < 4 else x.tanh()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (
            lambda x: x + torch.randn_like(x),
            "random numbers by torch's .* 'randn_like'",
        ),
        (lambda x: x if x.sum() > 0 else -x, r"Python's if, int\(\) or float\(\)"),
        (
            lambda x: x + torch.arange(len(x)).to(x)[:, None],
            "constants that differ from row to row",
        ),
        (lambda x: x * len(x), "depends on the number of rows"),
        (takes_turns, "other operators for another number of rows"),
        (torch.special.i0, "torch's operator 'i0'"),
        (lambda x: x.half().to(x), "numbers of torch.float16"),
        (lambda x: x[x > 0], "depends on the number of rows"),
        (lambda x: sum(x.unbind(0)) + x, "operators for another number of rows"),
        (lambda x: x.var(0) + x, "a variance over the rows"),
        (lambda x: x.long() & 1, "logic on the bits of numbers"),
        (lambda x: F.adaptive_avg_pool2d(image(x), 2).flatten(1), "adaptive pooling"),
        (lambda x: x.div(2, rounding_mode="floor"), "such arguments of 'div'"),
    ],
)
def test_what_has_no_place_in_a_graph_is_named(function, reason):
    with pytest.raises(Unsupported, match=reason):
        exported(lambda _, x: function(x), "float32")


def test_operators_without_a_float64_kernel_are_computed_in_float32():
    graph = Graph()
    x = graph.input("X", np.float64, 3)
    graph.output("Y", graph.real("Erf", np.float64, x), np.float64, 3)
    assert [node.op_type for node in graph.nodes] == ["Cast", "Erf", "Cast", "Identity"]


def test_constants_of_the_same_content_are_one():
    graph = Graph()
    names = {graph.constant(np.arange(3.0)) for _ in range(3)}
    assert len(names) == len(graph.constants) == 1
    assert graph.constant(np.arange(3)) not in names
    texts = {graph.constant(np.array(["a", "b"], object)) for _ in range(2)}
    assert len(texts) == 1


def test_what_no_output_needs_is_left_out():
    def apply(_, x):
        return (x.exp(), x.tanh())[1]

    recording = record(apply, nn.Identity(), np.ones((5, 2)), torch.float32)
    assert [step.name for step in recording.steps] == ["tanh"]
