"""Which state of a run is kept: the best, the last, or the one before it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from scipy import special
from torch import Tensor, nn

from sk_autoencoder._utils.torch_compat import foreach_copy_, foreach_norm

# Standard errors more where roots of losses are compared, by the number of rows and at
# most: the best epoch is chosen on the same rows, and some epoch suits any thirteen
# (docs/development/decisions/0050-few-validation-samples.md).
FEW_ROWS, MOST_ERRORS = 20.0, 1.5


@dataclass
class BestCheckpoint:
    """The best state of the module so far, by a score where lower is better.

    A state is copied together with its score and its epoch, in one call: an interrupt
    comes before or after, and finds all three of the same epoch.

    Parameters
    ----------
    weights : callable
        Gives all weights of the module, in any order and shape.
    keep_last : bool
        Keep the last finite state instead of the best: for training without
        validation rows.
    tol : float
        Gain over the best score that counts as one.

    Attributes
    ----------
    state : dict of str to Tensor
    """

    weights: Callable[[], list[Tensor]]
    keep_last: bool = False
    tol: float = 0.0
    state: dict[str, Tensor] = field(default_factory=dict)
    _module: nn.Module = field(default_factory=nn.Module)
    _label: Tensor = field(default_factory=lambda: _label(math.inf, 0))

    @property
    def score(self) -> float:
        """Score of the state."""
        return float(self._label[0])

    @property
    def epoch(self) -> int:
        """Epoch of this run after which the state was reached, 0 before the first."""
        return int(self._label[1])

    def start(self, module: nn.Module, score: float) -> None:
        """Keep the state before the first step, whatever its score."""
        self._module = module
        self.state = {name: v.clone() for name, v in module.state_dict().items()}
        self._label = _label(score if math.isfinite(score) else math.inf, 0)

    def update(self, score: float, epoch: int) -> None:
        """Keep the state after an epoch if it is better, or the last and finite."""
        if self.keep_last:
            better = _all_finite(self.weights())
        else:
            better = score < self.score - self.tol
        if better:
            # Read anew: what a parameter holds changes from weights to their average
            # and back, and a user's module may put another tensor in a buffer's place.
            self.replace(self._module.state_dict(), score, epoch)

    def replace(
        self, state: dict[str, Tensor], score: float | None = None, epoch: int = 0
    ) -> None:
        """Keep another state, by default one of the time before the first epoch."""
        score = self.score if score is None else score
        self._copy([state[name] for name in self.state], score, epoch)

    def _copy(self, tensors: list[Tensor], score: float, epoch: int) -> None:
        kept = [*self.state.values(), self._label]
        foreach_copy_(kept, [*tensors, _label(score, epoch)])


def _label(score: float, epoch: int) -> Tensor:
    return torch.tensor([score, epoch], dtype=torch.float64, device="cpu")


class PCAFallback:
    """Keeps the state before training unless the gain over it is beyond chance.

    The gain is measured sample by sample in validation; see `beyond_chance`. Losses may
    have heavy tails, and then one sample makes the error of their mean as large as any
    gain: so their roots are compared, and of the sum, which is what PCA minimizes, no
    more is asked than that it falls without the sample that counts most
    (`docs/development/decisions/0031-root-errors.md`).

    Parameters
    ----------
    module : torch.nn.Module
        Before the first step.
    score : callable
        Gives the loss of each validation sample, (n,), by the module as it then is.
    n_errors : float
        With `by_roots` those of very many samples; of few it takes more.
    weight_before : float
        Weight of the density before training in a mixture with the one after. Losses
        are then negative log densities, and those of the mixture are compared.
    by_roots : bool
        Whether losses are at least 0 and compared by their roots.

    Attributes
    ----------
    state : dict of str to Tensor
        Of the module before training.
    """

    def __init__(
        self,
        module: nn.Module,
        score: Callable[[], Tensor],
        n_errors: float,
        weight_before: float = 0.0,
        *,
        by_roots: bool = False,
    ) -> None:
        self._score, self._n_errors = score, n_errors
        self._weight_before = weight_before
        self._by_roots = by_roots
        self.state = {name: v.clone() for name, v in module.state_dict().items()}
        self._before = score()

    def is_improved(self) -> bool:
        """Whether the module, as it now is, is better beyond chance."""
        after = self.joined(self._score())
        gains = self._before - after
        if not self._by_roots:
            return beyond_chance(gains, self._n_errors)
        rest = gains.sum() - gains[gains.abs().argmax()]
        gains = roots(self._before) - roots(after)
        n_errors = self._n_errors + min(FEW_ROWS / len(gains), MOST_ERRORS)
        return bool(rest > 0) and beyond_chance(gains, n_errors)

    def joined(self, losses: Tensor) -> Tensor:
        """Return the losses (n,) of what is kept, from those of the module alone."""
        if not self._weight_before:
            return losses
        return -torch.logaddexp(
            math.log1p(-self._weight_before) - losses,
            math.log(self._weight_before) - self._before,
        )


def roots(losses: Tensor) -> Tensor:
    """Return the roots of losses, (n_rows,), which rounding may have made negative."""
    return losses.double().clamp(min=0.0).sqrt()


def beyond_chance(gains: Tensor, n_errors: float) -> bool:
    """Whether gains, (n_rows,), have a mean of so many standard errors.

    More are asked for where few rows make the error itself uncertain: those at the
    same quantile of Student's distribution.
    """
    if len(gains) < 2:
        return False
    gains = gains.double()
    error = gains.std() / len(gains) ** 0.5
    quantile = special.stdtrit(len(gains) - 1, special.ndtr(n_errors))
    return bool(gains.mean() > float(quantile) * error)


def _all_finite(weights: list[Tensor]) -> bool:
    """Whether every weight is finite, with one synchronisation."""
    return math.isfinite(float(torch.stack(foreach_norm(weights)).sum()))
