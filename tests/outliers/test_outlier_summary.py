"""One text that tells of a fitted detector."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from sk_autoencoder import AutoEncoderOutlierDetector, VAETransformer, load

rng = np.random.default_rng(0)
X = rng.normal(size=(120, 8)) @ rng.normal(size=(8, 8))


def lines_of(detector):
    head, *lines = detector.summary().splitlines()
    pairs = (re.split(r"  +", line.strip(), maxsplit=1) for line in lines)
    return {"": head, **dict(pairs)}


def test_summary_tells_what_the_attributes_are():
    detector = AutoEncoderOutlierDetector(random_state=0).fit(X)
    lines = lines_of(detector)
    assert lines[""] == "AutoEncoderOutlierDetector: 8 features"
    assert lines["Data"] == "120 samples; numbers: 8"
    assert lines["Measure"] == "combined, novelty=False"
    sizes = ", ".join(str(member.n_components_) for member in detector.estimators_)
    seen = {member.n_samples_ for member in detector.estimators_}
    assert len(seen) == 1
    assert lines["Members"] == (
        f"3 of AutoEncoderTransformer: -> {sizes}; trained on {seen.pop()} samples"
    )
    assert lines["Neighbors"] == "108 exemplars"  # nine tenths
    n_epochs = sum(member.n_iter_ for member in detector.estimators_)
    assert lines["Training"].startswith(f"{n_epochs} epochs in ")
    scores = detector.score_samples(X)
    percent = 100 * np.mean(scores < detector.offset_)
    told = f"{detector.offset_:.4g}: above {percent:.3g} % of the training samples'"
    assert lines["Threshold"] == f"{told} scores"
    assert lines["P-values"] == f"from 120 scores, {1 / 121:.3g} at least"
    assert lines["Device"] == "cpu"


def test_the_threshold_is_told_as_it_is():
    detector = AutoEncoderOutlierDetector(novelty=True, random_state=0).fit(X)
    assert lines_of(detector)["Measure"] == "combined, novelty=True"
    for contamination in (0.1, 0.05):
        lines = lines_of(detector.set_threshold(contamination))
        assert lines["Threshold"] == (
            f"{detector.offset_:.4g}: above {100 * contamination:g} % of the training "
            "samples' scores, each by transformers that have not seen it"
        )


@pytest.mark.parametrize(
    ("estimator", "measure", "members"),
    [
        (PCA(3), "reconstruction", "PCA(n_components=3"),
        (VAETransformer(2, max_epochs=1), "likelihood", "1 of VAETransformer: -> 2;"),
    ],
)
def test_estimators_of_ones_own_are_named(estimator, measure, members):
    detector = AutoEncoderOutlierDetector(estimator, measure=measure).fit(X)
    lines = lines_of(detector)
    assert lines["Data"] == "120 samples; numbers: 8"
    assert lines["Members"].startswith(members)
    assert lines["P-values"].startswith("none: threshold='held_out'")
    assert "Neighbors" not in lines


def test_summary_is_the_same_from_a_file(tmp_path):
    frame = pd.DataFrame(X, columns=list("abcdefgh"))
    frame["i"] = np.resize(["u", "v"], len(X))
    detector = AutoEncoderOutlierDetector(random_state=0).fit(frame)
    expected = "120 samples; numbers: 8, categories: 1 (2 levels)"
    assert lines_of(detector)["Data"] == expected
    detector.save(tmp_path / "model")
    assert load(tmp_path / "model").summary() == detector.summary()


def test_summary_asks_for_a_fit():
    with pytest.raises(ValueError, match="is not fitted yet"):
        AutoEncoderOutlierDetector().summary()
