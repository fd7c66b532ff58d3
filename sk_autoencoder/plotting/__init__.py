"""Displays of what an autoencoder, or another reducer, has learned.

They follow scikit-learn's convention: ``from_estimator`` computes and draws, the
object holds the data and the matplotlib artists, ``plot`` draws it again. matplotlib
is imported when something is drawn, not before.
"""

from sk_autoencoder.plotting._biplot import BiplotDisplay
from sk_autoencoder.plotting._components import ComponentsDisplay
from sk_autoencoder.plotting._latent import LatentDisplay
from sk_autoencoder.plotting._loss import LossCurveDisplay
from sk_autoencoder.plotting._outlier import OutlierContributionsDisplay
from sk_autoencoder.plotting._reconstruction import ReconstructionDisplay
from sk_autoencoder.plotting._traversal import TraversalDisplay
from sk_autoencoder.plotting._variance import ExplainedVarianceDisplay

__all__ = [
    "BiplotDisplay",
    "ComponentsDisplay",
    "ExplainedVarianceDisplay",
    "LatentDisplay",
    "LossCurveDisplay",
    "OutlierContributionsDisplay",
    "ReconstructionDisplay",
    "TraversalDisplay",
]
