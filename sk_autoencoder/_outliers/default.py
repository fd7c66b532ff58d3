"""The autoencoders of an outlier detector that is not told which."""

import math

from sk_autoencoder._estimators.autoencoder import AutoEncoderTransformer

# Components, as fractions of what the rows can tell: outliers of different kinds stand
# out beside different numbers of them. More than the last number never did better.
FRACTIONS = (0.125, 0.25, 0.5)
MOST_COMPONENTS = 64
# Small layers and few steps: finding outliers takes no better reconstruction, and among
# contaminated rows longer training finds fewer of them; see
# docs/development/decisions/0033-ranks-and-neighbors.md.
HIDDEN = (64, 32)
STEPS_A_ROW = 0.08
LEAST_STEPS, MOST_STEPS = 30, 600
SMALLEST_BATCH, LARGEST_BATCH = 64, 128


def default_estimators(
    n_rows: int, n_features: int, *, allow_missing: bool
) -> list[AutoEncoderTransformer]:
    """Make small autoencoders of a few numbers of components.

    Parameters
    ----------
    n_rows, n_features : int
    allow_missing : bool
        Whether cells of the rows are missing.

    Returns
    -------
    estimators : list of AutoEncoderTransformer
        Not fitted, without a random_state; of few features some are alike, which see
        different rows.
    """
    most = min(n_rows, n_features)
    limit = max(1, min(most - 1, MOST_COMPONENTS))
    sizes = [min(max(1, round(part * most)), limit) for part in FRACTIONS]
    power = math.floor(math.log2(max(2.0, n_rows / 16)))
    batch = min(max(2**power, SMALLEST_BATCH), LARGEST_BATCH)
    steps = min(max(STEPS_A_ROW * n_rows, LEAST_STEPS), MOST_STEPS) / len(FRACTIONS)
    epochs = max(1, round(steps / math.ceil(0.9 * n_rows / batch)))
    return [
        AutoEncoderTransformer(
            size,
            hidden_layer_sizes=HIDDEN,
            numeric_scaling="standard",
            max_epochs=epochs,
            batch_size=batch,
            allow_missing=allow_missing,
        )
        for size in sizes
    ]
