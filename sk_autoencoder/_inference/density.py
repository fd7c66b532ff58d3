"""The density of a variational autoencoder, estimated by draws from its posterior."""

import math
import warnings
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
from scipy import linalg
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from sk_autoencoder._model.module import AutoEncoderModule
from sk_autoencoder._objectives.variational import kl_by_component, split_statistics
from sk_autoencoder._training.batches import Batches
from sk_autoencoder._utils.pca import PrincipalAxes
from sk_autoencoder._utils.random import make_generator
from sk_autoencoder._utils.values import Range

# Draws from the posterior for the evidence lower bound, two by two of opposite sign.
BOUND_DRAWS = 16
# Codes that the covariance of samples is computed from, and at a time.
MOST_DRAWS, DRAWS_AT_A_TIME = 2**14, 2**10
# Codes that a mixture is fitted to, at most.
MOST_CODES = 20_000
# Numbers of parts that are tried.
PARTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
# Codes times parts times squared components, a measure of the time of an iteration, up
# to which a number of parts is tried wherever the criterion goes: a few seconds a fit.
MOST_WORK = 20_000_000


@dataclass(frozen=True)
class MixturePrior:
    """A Gaussian mixture in place of the standard normal prior of the codes.

    Attributes
    ----------
    weights : ndarray of shape (n_parts,)
    means : ndarray of shape (n_parts, n_components)
    factors : ndarray of shape (n_parts, n_components, n_components)
        Lower triangular, of the covariances.
    """

    weights: Annotated[np.ndarray, Range(0, above=True, shape="m")]
    means: Annotated[np.ndarray, Range(shape="m k")]
    factors: Annotated[np.ndarray, Range(shape="m k k")]

    @classmethod
    def of(cls, codes: np.ndarray, seed: int) -> "MixturePrior":
        """Fit a mixture to codes drawn from the posterior, (n, n_components).

        Its number of parts is that of the least Bayes' information criterion.
        """
        from sklearn.mixture import GaussianMixture  # slow to import

        best, lowest, rises = None, math.inf, False
        for n_parts in PARTS:
            if not _is_tried(n_parts, codes.shape, rises=rises):
                continue
            mixture = GaussianMixture(n_parts, random_state=seed, reg_covar=1e-4)
            with warnings.catch_warnings():
                # Where it is of use without having converged the criterion says so.
                warnings.simplefilter("ignore", ConvergenceWarning)
                criterion = mixture.fit(codes).bic(codes)
            if criterion < lowest:
                best, lowest = mixture, criterion
            elif _is_power_of_two(n_parts):
                rises = True
        assert best is not None
        factors = np.stack([linalg.cholesky(c, lower=True) for c in best.covariances_])
        return cls(best.weights_, best.means_, factors)

    def log_prob(self, code: Tensor) -> Tensor:
        """Compute the log density of codes (n, n_components), (n,) in nats."""
        parts = []
        for weight, mean, factor in zip(
            self.weights, self.means, self.factors, strict=True
        ):
            root = torch.from_numpy(factor).to(code)
            gap = (code - torch.from_numpy(mean).to(code)).t()
            white = torch.linalg.solve_triangular(root, gap, upper=False)
            scale = math.log(weight) - float(np.log(np.diag(factor)).sum())
            parts.append(scale - 0.5 * white.square().sum(dim=0))
        constant = 0.5 * code.shape[1] * math.log(2 * math.pi)
        return torch.logsumexp(torch.stack(parts), dim=0) - constant

    def sample(self, n_samples: int, generator: torch.Generator) -> Tensor:
        """Draw codes, (n_samples, n_components)."""
        device = generator.device
        weights = torch.from_numpy(self.weights).to(device)
        part = torch.multinomial(
            weights, max(1, n_samples), replacement=True, generator=generator
        )[:n_samples].cpu()
        shape = (n_samples, self.means.shape[1])
        how: Any = {"generator": generator, "device": device, "dtype": torch.float32}
        noise = torch.randn(shape, **how).cpu().double()
        factors = torch.from_numpy(self.factors)[part]
        drawn = torch.from_numpy(self.means)[part] + torch.einsum(
            "nij,nj->ni", factors, noise
        )
        return drawn.float().to(device)


def _is_power_of_two(n_parts: int) -> bool:
    return n_parts & (n_parts - 1) == 0


def _is_tried(n_parts: int, shape: tuple[int, ...], *, rises: bool) -> bool:
    """Whether to fit so many parts to codes of a shape.

    Parameters
    ----------
    n_parts : int
    shape : tuple of int
        (n, n_components).
    rises : bool
        Whether the criterion has risen from one power of two to the next.
    """
    n_codes, size = shape
    if n_parts == 1:
        return True
    if _is_power_of_two(n_parts) and not rises:
        return n_parts <= n_codes // 2
    # Of more parameters than codes the criterion is no guide; and it takes its time.
    parameters = n_parts * (size + 1) * (size + 2) // 2
    return parameters <= n_codes and n_codes * n_parts * size**2 <= MOST_WORK


@dataclass(frozen=True)
class LinearDensity:
    """Probabilistic PCA of centered rows in the units of their score.

    Attributes
    ----------
    components : ndarray of shape (n_components, n_features)
        Orthonormal; 0 beyond the rank.
    variances : ndarray of shape (n_components,)
        Along the components, `noise` included and no less.
    noise : float
        Variance along all other directions.

    References
    ----------
    Tipping and Bishop (1999), Probabilistic principal component analysis, JRSS B 61.
    """

    components: np.ndarray
    variances: np.ndarray
    noise: float

    @classmethod
    def of(
        cls, axes: PrincipalAxes, n_components: int, noise: float
    ) -> "LinearDensity":
        """Keep so many axes, with what they explain beyond the noise."""
        std = axes.std[:n_components]
        variances = np.maximum(np.square(std), noise)
        return cls(axes.components[:n_components], variances, noise)

    def log_prob(self, y: Tensor) -> Tensor:
        """Compute the log density of rows (n, n_features), (n,) in nats."""
        n_features = self.components.shape[1]
        y = y.double()
        components = torch.from_numpy(self.components).to(y)
        variances = torch.from_numpy(self.variances).to(y)
        squares = (y @ components.t()).square()
        beyond = (y.square().sum(dim=1) - squares.sum(dim=1)).clamp_(min=0.0)
        logs = variances.log().sum() + math.log(self.noise) * (
            n_features - len(variances)
        )
        distances = (squares / variances).sum(dim=1) + beyond / self.noise
        return -0.5 * (distances + logs + n_features * math.log(2 * math.pi))


def balanced_draws(n_draws: int, n_components: int, seed: int) -> Tensor:
    """Draw standard normal noise (n_draws, n_components), exact in its moments.

    All rows share these draws, so that chance would not average out over rows: the
    mean is made 0, each variance 1 and, where there are draws enough, each
    covariance 0. The bound of a linear decoder is then exact. An odd draw is left out.
    """
    half = max(1, n_draws // 2)
    noise = torch.randn(
        (half, n_components),
        generator=make_generator(seed),
        dtype=torch.float64,
        device="cpu",
    )
    if n_components <= half:
        noise = torch.linalg.qr(noise).Q * half**0.5
    else:
        noise = noise / noise.square().mean(dim=0).sqrt()
    return torch.cat([noise, -noise])


def log_density(
    module: AutoEncoderModule,
    x: Tensor,
    noise: Tensor,
    prior: MixturePrior | None,
    *,
    bound: bool,
) -> Tensor:
    """Estimate the log density of centered rows, (n,) in nats.

    Parameters
    ----------
    module : AutoEncoderModule
    x : Tensor of shape (n, n_features)
    noise : Tensor of shape (n_draws, n_components)
        The same for all rows.
    prior : MixturePrior or None
        None is the standard normal one.
    bound : bool
        Whether to give the evidence lower bound in place of the importance-weighted
        estimate, which is never below it.

    References
    ----------
    Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, ICLR.
    """
    mean, log_variance = split_statistics(module.encoder_output(x))
    deviation = torch.exp(0.5 * log_variance)
    ratios = []
    for draw in noise.to(mean):
        code = mean + draw * deviation
        likelihood = module.columns.log_likelihood(module.decoder(code), x)
        if prior is None:
            shift = -0.5 * code.square().sum(dim=1)
        else:
            shift = prior.log_prob(code) + 0.5 * code.shape[1] * math.log(2 * math.pi)
        ratios.append(likelihood + shift + 0.5 * draw.square().sum())
    weights = torch.stack(ratios) + 0.5 * log_variance.sum(dim=1)
    if bound:
        return weights.mean(dim=0)
    return torch.logsumexp(weights, dim=0) - math.log(len(noise))


def covariance_of_density(
    module: AutoEncoderModule,
    *,
    prior: MixturePrior | None,
    seed: int,
) -> np.ndarray:
    """Return the covariance of samples of numbers, in the caller's units.

    From codes whose moments are those of their prior: exact where the decoder is linear
    and the prior is the standard one.

    Parameters
    ----------
    module : AutoEncoderModule
        In float64 and in evaluation mode, of columns of numbers.
    prior : MixturePrior or None
        None is the standard normal one.
    seed : int
    """
    columns: Any = module.columns
    n_components = module.latent_map.width
    if prior is None:
        draws = balanced_draws(MOST_DRAWS, n_components, seed)
    else:
        draws = prior.sample(MOST_DRAWS, make_generator(seed)).double()
    mean: Any = 0.0
    second: Any = 0.0
    with torch.no_grad():
        for codes in draws.to(columns.mean).split(DRAWS_AT_A_TIME):
            rows = columns.decode(module.decoder(codes)) - columns.mean
            mean = mean + rows.sum(dim=0) / len(draws)
            second = second + rows.T @ rows / len(draws)
        unit = columns.output_unit
        second = second + torch.diag(columns.likelihood.variance * unit.square())
        covariance: np.ndarray = (second - torch.outer(mean, mean)).cpu().numpy()
    return covariance


def divergences(
    module: AutoEncoderModule, batches: Batches, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Describe the posteriors of rows.

    Returns
    -------
    kl : ndarray of shape (n_components,)
        Mean divergence of each component from its prior, in nats.
    codes : ndarray of shape (n, n_components)
        Draws, one a row, of `MOST_CODES` rows at most.
    """
    total: Tensor | float = 0.0
    n_rows, drawn = 0, []
    generator = make_generator(seed, module.columns.mean.device)
    with torch.inference_mode():
        for x, _ in batches:
            encoder_output = module.encoder_output(x)
            total = total + kl_by_component(
                *split_statistics(encoder_output)
            ).double().sum(0)
            if n_rows < MOST_CODES:
                drawn.append(module.objective.rsample(encoder_output, generator).cpu())
            n_rows += len(x)
    assert isinstance(total, Tensor)
    codes = torch.cat(drawn)[:MOST_CODES].double().numpy()
    return (total / n_rows).cpu().numpy(), codes
