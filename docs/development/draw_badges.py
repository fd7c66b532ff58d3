"""Draw the badges of README, from what the project's files say.

`python docs/development/draw_badges.py` writes `docs/images/badge_*.svg`;
`tests/contract/test_project_files.py` fails where a file is not what this script draws.
With a report of `coverage json` as its argument, as `make coverage` calls it, it draws
`badge_coverage.svg` alone.
"""

import json
import math
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "images"
# Okabe and Ito's blue and bluish green: white text on each has a contrast above 4.5,
# the green darkened for that.
BLUE, GREEN = "#0072b2", "#00795a"
# Pixels a character of 11-pixel DejaVu Sans, on average, and beside the text.
CHARACTER, MARGIN = 6.3, 6

BADGE = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" \
aria-label="{label}: {value}">
  <title>{label}: {value}</title>
  <rect width="{width}" height="20" rx="3" fill="#444444"/>
  <path d="M{left} 0h{right}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H{left}z" fill="{color}"/>
  <g fill="#fff" font-family="DejaVu Sans,Verdana,sans-serif" font-size="11" \
text-anchor="middle">
    <text x="{label_at}" y="14" textLength="{label_width}">{label}</text>
    <text x="{value_at}" y="14" textLength="{value_width}">{value}</text>
  </g>
</svg>
"""


def draw(label: str, value: str, color: str) -> str:
    """Return a badge: what is told on gray, then what it is on a color."""
    label_width, value_width = (round(CHARACTER * len(text)) for text in (label, value))
    left = label_width + 2 * MARGIN
    width = left + value_width + 2 * MARGIN
    return BADGE.format(
        label=label,
        value=value,
        color=color,
        width=width,
        left=left,
        right=width - left - 3,
        label_at=left / 2,
        value_at=(left + width) / 2,
        label_width=label_width,
        value_width=value_width,
    )


def badges() -> dict[Path, str]:
    """Return each badge and its file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    workflow = (ROOT / ".github/workflows/ci.yml").read_text("utf-8")
    (tested,) = re.findall(r'python: \[("[^]]+")\]', workflow)
    versions = re.findall(r'"([\d.]+)"', tested)
    return {
        FOLDER / "badge_python.svg": draw(
            "Python", f"{versions[0]} to {versions[-1]}", BLUE
        ),
        FOLDER / "badge_license.svg": draw("license", project["license"], GREEN),
    }


def coverage_badge(report: str) -> dict[Path, str]:
    """Return the badge of what a run of the tests has covered, rounded down."""
    percent = math.floor(json.loads(report)["totals"]["percent_covered"])
    return {FOLDER / "badge_coverage.svg": draw("coverage", f"{percent}%", GREEN)}


if __name__ == "__main__":
    reports = [Path(name).read_text("utf-8") for name in sys.argv[1:]]
    drawn = coverage_badge(*reports) if reports else badges()
    for path, badge in drawn.items():
        path.write_text(badge, encoding="utf-8")
