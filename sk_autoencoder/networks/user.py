"""Networks of a user's own."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from sk_autoencoder._protocols import Network
from sk_autoencoder._utils.sklearn_compat import StrOptions
from sk_autoencoder._utils.torch_compat import float32_by_default
from sk_autoencoder._utils.values import first_line
from sk_autoencoder.networks._layers import Dropout
from sk_autoencoder.networks.ranges import UNBOUNDED, Range, output_range

ARTICLE = {"encoder": "an encoder", "decoder": "a decoder"}

Maker = nn.Module | Callable[[int, int], nn.Module]


class DecoderOutput(NamedTuple):
    """What a decoder gives.

    Attributes
    ----------
    outputs : {"data", "logits"}
    range : (float, float)
        Infinite where it is not bounded, or not known.
    is_known : bool
        Whether both could be read or were told.
    """

    outputs: str
    range: Range
    is_known: bool


@dataclass(eq=False, repr=False)
class UserNetwork(Network):
    """An encoder and a decoder of your own, as modules or as functions that build them.

    Modules are copied, including their weights, and never modified; weights that both
    share, as with tied weights, are shared by the copies. `torch.nn.Dropout` in them
    uses the generator of the estimator; other random layers use torch's global
    generator.

    The modules are trained as you pass them. With `init="random"`, which `init="auto"`
    means for them, they are the whole model: the encoder receives samples in the units
    of `numeric_scaling`, by default those of X, and the output of the decoder is in the
    same units. There is no centering, no scaling, no linear part and no fallback to
    PCA; if the result is worse than PCA on the validation samples, there is a
    UserWarning. For a numeric matrix without missing values and with `whiten=False`,
    `transform(X)` is `encoder(X)` (for :class:`~sk_autoencoder.VAETransformer`, the
    half of it that contains the means), and `inverse_transform(Z)` is `decoder(Z)`, or
    its sigmoid if the decoder returns logits.

    With `init="pca"` the model is PCA's encoder and decoder, and the modules learn what
    to add to them.

    Parameters
    ----------
    encoder : torch.nn.Module or callable
        Maps (n, n_features), or (n, `*input_shape`), to (n, n_components), or twice as
        many columns for :class:`~sk_autoencoder.VAETransformer`. With
        `allow_missing=True` its input also has indicators of missing cells after the
        features: (n, 2 * n_features) for a table of numbers. A callable takes the
        number of inputs and the number of outputs and returns a module.
    decoder : torch.nn.Module or callable
        Maps (n, n_components) to as many numbers per sample as there are features, in
        any shape; or a callable as for the encoder.
    input_shape : tuple of int or None, default=None
        Shape of a sample as input of the encoder; None is flat. With indicators of
        missing cells it has twice as many channels, and X is flat.
    output_range : (float, float) or None, default=None
        Range of the output of the decoder; may include `-numpy.inf` and `numpy.inf`.
        None determines it from the last operation of the decoder; if that is not
        possible, a UserWarning asks for it. There is also a UserWarning if training
        data are outside of it.

        .. versionadded:: 0.2
    outputs : {"auto", "data", "logits"}, default="auto"
        What the decoder returns: "data" is the reconstruction, or the probability with
        the binary cross-entropy; "logits", only for the binary cross-entropy and the
        Bernoulli likelihood, are turned into probabilities by a sigmoid. "auto" is
        "logits" for these two, unless the decoder ends in a sigmoid or otherwise
        returns numbers from 0 to 1, and "data" for all others. Categories are always
        decoded from logits. With `init="pca"` neither this nor `output_range` has an
        effect.

        .. versionadded:: 0.2

    See Also
    --------
    MLP : Dense layers.
    ConvNet : Convolutions.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> import torch
    >>> from torch import nn
    >>> from sk_autoencoder import AutoEncoderTransformer
    >>> from sk_autoencoder.networks import UserNetwork
    >>> X, _ = load_iris(return_X_y=True)
    >>> _ = torch.manual_seed(0)  # torch draws the first weights
    >>> network = UserNetwork(
    ...     nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1)),
    ...     nn.Sequential(nn.Linear(1, 16), nn.ReLU(), nn.Linear(16, 4)),
    ... )
    >>> reducer = AutoEncoderTransformer(1, network=network, lr=0.01, random_state=0)
    >>> reducer.fit_transform(X).shape
    (150, 1)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "outputs": [StrOptions({"auto", "data", "logits"})]
    }

    encoder: Maker
    decoder: Maker
    input_shape: Sequence[int] | None = None
    _: KW_ONLY
    output_range: Sequence[float] | None = None
    outputs: str = "auto"

    def __sklearn_clone__(self) -> Self:
        """Copy both parts at once: what they share, their copies share."""
        return copy.deepcopy(self)

    def decoder_output(
        self,
        *,
        n_components: int,
        n_outputs: int,
        generator: torch.Generator,
        takes_logits: bool,
    ) -> DecoderOutput:
        """Resolve `outputs` and `output_range`.

        Parameters
        ----------
        n_components, n_outputs : int
            As for `build`.
        generator : torch.Generator
            As for `build`.
        takes_logits : bool
            Whether the loss can be computed from logits.

        Returns
        -------
        output : DecoderOutput
            Both, and whether the range is known.
        """
        self._validate_params()
        told = _checked_range(self.output_range)
        found = told
        if found is None:
            how: Any = {"generator": generator, "memo": {}}
            decoder = _own(self.decoder, "decoder", n_components, n_outputs, **how)
            found = output_range(decoder)
        outputs = self.outputs
        if outputs == "auto":
            low, high = found or UNBOUNDED
            are_probabilities = low >= 0 and high <= 1
            logits = takes_logits and not are_probabilities
            outputs = "logits" if logits else "data"
        return DecoderOutput(outputs, found or UNBOUNDED, found is not None)

    def build(
        self,
        *,
        n_inputs: int,
        n_encoder_outputs: int,
        n_components: int,
        n_outputs: int,
        generator: torch.Generator,
    ) -> tuple[nn.Module, nn.Module]:
        """Copy or make both parts, and try them on a few rows; see `Network.build`."""
        shape = None if self.input_shape is None else tuple(self.input_shape)
        n_marks = n_inputs - n_outputs
        if shape is not None and math.prod(shape) == n_outputs == n_marks:
            raise ValueError(
                f"expected an input_shape of {_marked(n_inputs, n_marks)}, got "
                f"input_shape={shape}. Pass input_shape={(2 * shape[0], *shape[1:])} "
                "and flat rows, or fill missing cells first, as with SimpleImputer."
            )
        if shape is not None and math.prod(shape) != n_inputs:
            raise ValueError(
                f"expected rows of input_shape={shape}, {math.prod(shape)} features, "
                f"got X with {n_inputs} features. Pass an input_shape whose product is "
                "X.shape[1]."
            )
        # By one memo, what both share is copied once.
        how: Any = {"generator": generator, "memo": {}}
        encoder = _own(self.encoder, "encoder", n_inputs, n_encoder_outputs, **how)
        decoder = _own(self.decoder, "decoder", n_components, n_outputs, **how)
        parts = (
            UsersPart(encoder, shape, n_encoder_outputs),
            UsersPart(decoder, None, n_outputs),
        )
        with _drawing_from(generator):  # lazy layers draw their weights now
            _try(parts[0], "encoder", n_inputs, n_marks)
            _try(parts[1], "decoder", n_components)
        return parts


class UsersPart(nn.Module):
    """A user's module between flat rows.

    **Shape**: (n, n_inputs) to (n, n_outputs).

    Parameters
    ----------
    module : torch.nn.Module
    shape : tuple of int or None
        Of a row as the module takes it.
    n_outputs : int
    """

    gate: nn.Parameter | None

    def __init__(
        self, module: nn.Module, shape: tuple[int, ...] | None, n_outputs: int
    ) -> None:
        super().__init__()
        self.module = module
        self.shape = shape
        self.n_outputs = n_outputs
        self.register_parameter("gate", None)

    def forward(self, x: Tensor) -> Tensor:
        """Reshape each row for the module, and flatten what it returns."""
        x = x.clone()  # what the module writes to its input is not for others to see
        if self.shape is not None:
            x = x.reshape(-1, *self.shape)
        y = self.module(x)
        y = y.flatten(1) if isinstance(y, Tensor) else y
        return y if self.gate is None else y * self.gate

    def give_zero(self) -> None:
        """Make the part give zero until it is trained, whatever the module does.

        References
        ----------
        Bachlechner et al. (2021), ReZero is all you need, UAI.
        """
        self.gate = nn.Parameter(torch.zeros(self.n_outputs, dtype=torch.float32))


def _checked_range(pair: Any) -> Range | None:
    """Refuse anything but a pair of increasing numbers, or None."""
    if pair is None:
        return None
    if isinstance(pair, Sequence) and len(pair) == 2 and not isinstance(pair, str):
        low, high = pair
        if isinstance(low, Real) and isinstance(high, Real) and low < high:
            return float(low), float(high)
    raise ValueError(
        f"expected a pair of numbers, the lower one first, got output_range={pair!r}. "
        "Pass one, as (0.0, 1.0), or None to have it read from the decoder."
    )


def _own(
    part: Maker,
    name: str,
    n_in: int,
    n_out: int,
    *,
    generator: torch.Generator,
    memo: dict[int, Any],
) -> nn.Module:
    """Copy a module, or have one made with weights from a generator."""
    if isinstance(part, nn.Module):
        module = copy.deepcopy(part, memo)
    elif callable(part):
        with _drawing_from(generator):
            module = _called(part, name, n_in, n_out)
    else:
        module = part
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"expected a torch.nn.Module, or a function that makes one, got {name}="
            f"{part!r}. Pass an instance, as nn.Linear({n_in}, {n_out})."
        )
    if not any(weight.requires_grad for weight in module.parameters()):
        raise ValueError(
            f"expected a module with parameters to train, got {name}={part!r}. Pass "
            "one that has some."
        )
    return _with_own_dropout(module.to("cpu", torch.float32))


@contextmanager
def _drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Have what draws from torch's global generator follow another; float32 default."""
    seed = int(torch.randint(2**31, (), generator=generator))
    with torch.random.fork_rng(devices=[]), float32_by_default():
        # Not `torch.manual_seed`, which seeds those of all devices for good.
        torch.default_generator.manual_seed(seed)
        yield


def _called(part: Any, name: str, n_in: int, n_out: int) -> Any:
    """Call a function that makes a module; refuse a class of modules of one size."""
    try:
        return part(n_in, n_out)
    except TypeError as error:
        given = f"{part.__name__}(...)" if isinstance(part, type) else "the module"
        raise TypeError(
            f"expected a torch.nn.Module, or a function of the numbers of inputs and "
            f"outputs that makes one, got {name}={part!r}, because "
            f"{name}({n_in}, {n_out}) raised: {first_line(error)}. Pass an instance, "
            f"as {name}={given}."
        ) from error


def _with_own_dropout(module: nn.Module) -> nn.Module:
    """Put dropout that draws from our generator in the place of torch's."""
    if type(module) is nn.Dropout:
        return Dropout(module.p)
    # One that stands in several places is put into each of them.
    for name, part in [*module.named_modules(remove_duplicate=False)]:
        if type(part) is nn.Dropout:
            owner, _, own_name = name.rpartition(".")
            setattr(module.get_submodule(owner), own_name, Dropout(part.p))
    return module


def _marked(n_in: int, n_marks: int) -> str:
    """Name the length of a row, and how much of it is marks of missing cells."""
    if n_marks <= 0:
        return f"rows of {n_in} numbers"
    return (
        f"rows of {n_in} numbers, the last {n_marks} of them marks of missing cells "
        "that allow_missing=True adds"
    )


def _try(part: UsersPart, name: str, n_in: int, n_marks: int = 0) -> None:
    """Run two rows through a part and look at what comes out."""
    was_training = part.training
    part.eval()
    try:
        with torch.no_grad():
            result = part(torch.zeros(2, n_in, dtype=torch.float32))
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise ValueError(
            f"expected {ARTICLE[name]} that takes {_marked(n_in, n_marks)}"
            f"{'' if part.shape is None else f' as {part.shape}'}, got "
            f"{name}={part.module!r}, because: {first_line(error)}. Change its first "
            "layer, pass input_shape, or a function that makes a module of any size."
        ) from error
    part.train(was_training)
    if not isinstance(result, Tensor):
        raise TypeError(
            f"expected {ARTICLE[name]} that returns one tensor, got a "
            f"{type(result).__name__} from {name}={part.module!r}. Return the tensor "
            "of the code, or of the rows."
        )
    if result.shape != (2, part.n_outputs):
        raise ValueError(
            f"expected {ARTICLE[name]} that gives {part.n_outputs} numbers a row, got "
            f"{tuple(result.shape[1:])} from {name}={part.module!r}. Change its last "
            "layer, or n_components."
        )
