"""What a fitted variational autoencoder does as a density over rows."""

import math
import warnings
from numbers import Integral
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from sk_autoencoder._estimators.base import BaseAutoEncoder
from sk_autoencoder._fitting.build import LINEAR_SHARE, noise_variance
from sk_autoencoder._fitting.compatibility import check_unit_interval
from sk_autoencoder._fitting.fit import FittedModel
from sk_autoencoder._inference.chunks import apply_to_rows
from sk_autoencoder._inference.density import (
    BOUND_DRAWS,
    LinearDensity,
    balanced_draws,
    log_density,
)
from sk_autoencoder._inference.fast import FastEncoder
from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._objectives.variational import split_statistics
from sk_autoencoder._utils.float64_buffers import in_dtype
from sk_autoencoder._utils.random import make_generator
from sk_autoencoder._utils.stack_level import caller_level
from sk_autoencoder._utils.torch_compat import torch_defaults

__all__ = ["DensityMixin"]

# Variance of a component's posterior means over rows beyond which it tells something
# (Burda et al. 2016).
ACTIVE = 0.01


class DensityMixin(BaseAutoEncoder):
    """Base of the estimators whose codes have a prior; not to be used itself."""

    def _set_fitted_attributes(self, fitted: FittedModel, dtype: np.dtype) -> None:
        super()._set_fitted_attributes(fitted, dtype)
        assert fitted.kl is not None
        assert fitted.order is not None
        self.kl_per_component_ = fitted.kl[fitted.order]
        variances = fitted.moments.variances[fitted.order]
        self.active_units_ = int(np.count_nonzero(variances > ACTIVE))

    def _check_fit(self) -> None:
        varies = bool(np.any(self._plan.statistics.spread))
        if self.n_iter_ and varies and 2 * self.active_units_ < self.n_components_:
            warnings.warn(
                f"expected at least half of n_components={self.n_components_} "
                f"components to tell something of the rows, got "
                f"active_units_={self.active_units_}: the others are as their prior. "
                "Pass fewer components, a smaller beta, or free_bits=0.1.",
                UserWarning,
                stacklevel=caller_level(),
            )

    def score_samples(self, X: Any, n_importance: int = 64) -> np.ndarray:
        """Estimate the log density of each row.

        The expectation over the posterior is taken over the same draws for every
        row and every call: a row's value depends on no other row. `beta` has no part
        in it.

        Trained from PCA on numbers, the density is 0.99 times the network's and 0.01
        times that of probabilistic PCA: see `init`.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows with the features of `fit`.
        n_importance : int, default=64
            Draws for an importance-weighted estimate, which rises to the log density
            with their number; 1 gives the evidence lower bound, of 16 draws. The
            network decodes each: time grows in proportion.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            In nats, of a density in the caller's units; with
            `numeric_scaling="rank_gauss"` in those of the normal scores. A missing
            cell counts for nothing, a category not seen in `fit` neither, so that the
            row may seem more likely; nor do `column_weights`. Always finite: a row
            whose log density is below all numbers of the dtype has the least of them.

        References
        ----------
        Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, ICLR.
        """
        check_is_fitted(self)
        n_importance = check_scalar(n_importance, "n_importance", Integral, min_val=1)
        return self._log_density(self._check_rows(X), n_importance)

    def _log_density(self, X: Any, n_importance: int = 64) -> np.ndarray:
        """Estimate the log density of rows that have been validated."""
        if self._plan.needs_unit_interval:
            check_unit_interval(self._plan, X.min(), X.max())
        bound, prior = n_importance == 1, self._fitted.prior
        n_draws = BOUND_DRAWS if bound else n_importance
        noise = balanced_draws(n_draws, self.n_components_, self._plan.seeds.score)
        linear = self._linear_part()

        def network(module: AutoEncoderModule, x: Tensor) -> Tensor:
            return log_density(module, x, noise, prior, bound=bound).double()

        def scores(forward: FastEncoder, x: Tensor, out: Tensor | None) -> Tensor:
            found = network(forward.module, x)
            far = ~found.isfinite()
            if far.any():
                # float32 overflows long before the log density does.
                found[far] = network(forward.in_float64.module, x[far].double())
            if linear is not None:
                unit = forward.module.columns.loss_scale.double()
                beside = linear.log_prob(x.double() / unit) - unit.log().sum()
                found = torch.logaddexp(
                    found + math.log1p(-LINEAR_SHARE), beside + math.log(LINEAR_SHARE)
                )
            least = torch.finfo(x.dtype).min
            # No number comes of infinities on both sides: too far away as well.
            return found.nan_to_num(nan=least, neginf=least).clamp_(min=least)

        return apply_to_rows(scores, self.net_.module_, X)

    def _linear_part(self) -> LinearDensity | None:
        """Return the probabilistic PCA that is part of the density, where it is.

        Where nothing was learnt it is all of it.
        """
        plan = self._plan
        if not plan.keeps_linear or self.best_epoch_ == 0:
            return None
        assert plan.axes is not None
        return LinearDensity.of(plan.axes, plan.n_components, noise_variance(plan))

    def posterior(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the normal distribution of each row's code.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows with the features of `fit`.

        Returns
        -------
        mean, std : ndarray of shape (n_samples, n_components)
            The mean is what `transform` gives with `whiten=False`.
        """
        check_is_fitted(self)

        def both(forward: FastEncoder, x: Tensor, out: Tensor | None) -> Tensor:
            module = forward.module
            mean, log_variance = split_statistics(module.encoder_output(x))
            return torch.cat([mean, torch.exp(0.5 * log_variance)], dim=1)

        rows = self._check_rows(X)
        values = apply_to_rows(both, self.net_.module_, rows)
        mean, std = np.split(values, 2, axis=1)
        return mean[:, self._fitted.order], std[:, self._fitted.order]

    def score(self, X: Any, y: Any = None) -> float:
        """Mean of `score_samples`, in nats a row; the units of `PCA.score`.

        Parameters
        ----------
        X : {array-like, frame, sparse matrix} of shape (n_samples, n_features)
            Rows with the features of `fit`, best ones that it has not seen.
        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        score : float
            Mean estimate of the log density; higher is better.
        """
        scores = self.score_samples(X).astype(np.float64)
        with np.errstate(over="ignore"):
            mean = scores.mean()
            if not np.isfinite(mean):
                # The sum of the least of numbers is no number; their mean is one.
                mean = max((scores / len(scores)).sum(), np.finfo(np.float64).min)
        return float(mean)

    def sample(
        self,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
        *,
        noise: bool = True,
    ) -> Any:
        """Sample rows from the fitted density.

        Codes are drawn from the prior and decoded, in the dtype of the rows of `fit`,
        float64 for a matrix of whole numbers; a frame read as a table has its dtypes.
        The density's own noise is part of a sample, as it is for
        `KernelDensity.sample`; where probabilistic PCA is a hundredth of the density,
        a hundredth of the rows are its.

        Parameters
        ----------
        n_samples : int, default=1
            Rows to draw; 0 or more.
        random_state : int, RandomState instance or None, default=None
            Draws the codes and the noise.
        noise : bool, default=True
            Whether to draw each cell from its density around what the decoder gives.
            False returns the means, and of categories the most probable levels, for
            the same codes.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows in the units of `fit`; a frame after `set_output`.
        """
        check_is_fitted(self)
        n_samples = check_scalar(
            n_samples, "n_samples", Integral, min_val=0, include_boundaries="left"
        )
        noise = check_scalar(noise, "noise", (bool, np.bool_))
        seed = check_random_state(random_state).randint(np.iinfo(np.int32).max)
        dtype = torch.float32 if self._input_dtype == np.float32 else torch.float64
        device = self.net_.module_.columns.mean.device
        generator = make_generator(seed, device)
        with torch_defaults(), torch.inference_mode():
            module = in_dtype(self.net_.module_, dtype)
            columns = module.columns
            raw = module.decoder(self._draw_codes(n_samples, generator).to(dtype))
            drawn = columns.sample(raw, generator)
            rows = drawn if noise else columns.decode(raw)
            linear = self._linear_part()
            if linear is not None:
                at = torch.rand(
                    n_samples, generator=generator, device=device, dtype=torch.float32
                )
                at = torch.nonzero(at < LINEAR_SHARE)[:, 0]
                y = linear.sample(len(at), generator, noise=noise)
                rows[at] = columns.decode(y.to(raw) + columns.offset)
        given = rows.cpu().numpy().astype(self._input_dtype, copy=False)
        return self._to_output(given, like=None)

    def _draw_codes(self, n_samples: int, generator: torch.Generator) -> Tensor:
        """Draw the network's codes from the prior."""
        prior, shape = self._fitted.prior, (n_samples, self._plan.n_components)
        if prior is not None:
            return prior.sample(n_samples, generator)
        return torch.randn(
            shape, generator=generator, device=generator.device, dtype=torch.float32
        )
