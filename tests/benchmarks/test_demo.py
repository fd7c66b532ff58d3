"""The demo, from end to end on few rows."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_demo_prints_a_table_and_draws_pictures(tmp_path):
    arguments = ["--quick", "--output", tmp_path]
    run = subprocess.run(
        [sys.executable, "-W", "error", "-m", "benchmarks.demo", *arguments],
        cwd=ROOT,
        env={**os.environ, "MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        check=True,
    )
    for name in (
        "PCA",
        "AutoEncoderTransformer",
        "DenoisingAutoEncoderTransformer",
        "VAETransformer",
    ):
        assert name in run.stdout
    assert (tmp_path / "table.md").read_text().count("|") > 20
    pictures = list(tmp_path.glob("*.png"))
    assert len(pictures) >= 3
    assert all(picture.stat().st_size > 10_000 for picture in pictures)
