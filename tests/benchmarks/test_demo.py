"""The demo, from end to end on few rows."""

import sys

from benchmarks import demo


def test_the_demo_prints_a_table_and_draws_pictures(tmp_path, monkeypatch, capsys):
    arguments = ["demo", "--quick", "--output", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    demo.main()
    printed = capsys.readouterr().out
    for name in (
        "PCA",
        "AutoEncoderTransformer",
        "DenoisingAutoEncoderTransformer",
        "VAETransformer",
    ):
        assert name in printed
    assert (tmp_path / "table.md").read_text().count("|") > 20
    pictures = list(tmp_path.glob("*.png"))
    assert len(pictures) >= 3
    assert all(picture.stat().st_size > 10_000 for picture in pictures)
