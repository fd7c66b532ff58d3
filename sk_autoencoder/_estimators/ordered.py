"""What only estimators whose components can be ordered do."""

import copy
from collections.abc import Callable
from numbers import Integral
from typing import Any, ClassVar, Self

from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._utils.sklearn_compat import StrOptions

__all__ = ["TruncatesComponents"]


class TruncatesComponents(BaseAutoEncoder):
    """Base of the estimators that have the parameters `loss` and `ordered`."""

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **BaseAutoEncoder._parameter_constraints,
        "loss": [
            StrOptions({"auto", "squared_error", "binary_cross_entropy", "huber"}),
            callable,
        ],
    }

    loss: str | Callable

    def _likelihood(self) -> str:
        if callable(self.loss):
            return "own"
        return "squared_error" if self.loss == "auto" else self.loss

    def truncate(self, n_components: int) -> Self:
        """Return a transformer with the first components only, without fitting again.

        Parameters
        ----------
        n_components : int
            How many to keep, from 1 to `n_components_`.

        Returns
        -------
        truncated : object
            A copy; this transformer stays as it is.

        Raises
        ------
        ValueError
            If the components are not ordered, or there are not so many.
        """
        check_is_fitted(self)
        if not self._plan.ordered:
            raise ValueError(
                f"expected a fit with ordered=True, got ordered={self.ordered!r}: "
                "only then are the first components a code by themselves. Fit again "
                "with ordered=True."
            )
        n_components = check_scalar(
            n_components,
            "n_components",
            Integral,
            min_val=1,
            max_val=self.n_components_,
        )
        return copy.deepcopy(self)._truncate_to(int(n_components))
