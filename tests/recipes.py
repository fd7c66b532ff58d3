"""Recipes of the guide that take other people's tools, and what starts them."""

import re
import textwrap
from pathlib import Path

GUIDE = Path(__file__).parents[1] / "docs" / "user_guide"


def recipe(tool, page="production"):
    """Return the code of the one snippet that is marked with the name of a tool."""
    marked = re.compile(
        rf"^\.\. not run: tests/integration does, with {tool}\n\n?"
        r"\.\. code-block:: python\n\n((?:   .*\n|\n)+)",
        re.MULTILINE,
    )
    (source,) = marked.findall((GUIDE / f"{page}.rst").read_text(encoding="utf-8"))
    return textwrap.dedent(source)


def commands(script, page="production"):
    """Return the lines of the one console snippet that runs a script."""
    text = (GUIDE / f"{page}.rst").read_text(encoding="utf-8")
    shown = re.findall(r"^\.\. code-block:: console\n\n((?:   .*\n)+)", text, re.M)
    (found,) = (block for block in shown if f" {script}" in block)
    return [line.strip().removeprefix("$ ") for line in found.splitlines()]
