"""Draw the rooms of the package and the imports between them, from the source.

`python docs/development/draw_rooms.py` writes `docs/images/rooms.svg`, which
`docs/development/architecture.md` shows; `tests/contract/test_architecture_page.py`
fails where the file is not what this script draws. An arrow that follows from others is
left out: where A imports B and B imports C, A may import C too.
"""

import ast
from graphlib import TopologicalSorter
from html import escape
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "sk_autoencoder"
SOURCE = Path(find_spec(PACKAGE).submodule_search_locations[0])
DRAWING = ROOT / "docs" / "images" / "rooms.svg"

# What stands in each box, and the column of the drawing that it is in; the rows follow
# from the imports.
ROOMS = {
    "__init__": ("what `import sk_autoencoder` gives", 1),
    "_load": ("reads what was saved", 0),
    "plotting": ("displays", 3),
    "export": ("fitted estimators as ONNX models", 2),
    "_outliers": ("the detector around the transformers", 1),
    "_estimators": ("parameters, methods, documentation", 1),
    "_saving": ("a fitted estimator as a file, and back", 1),
    "_fitting": ("plan, build, train, order, whiten", 1),
    "_inference": ("samples through a trained module", 1),
    "_training": ("epochs, the best state, fast gradients", 1),
    "_model": ("encode and decode", 1),
    "networks": ("layers", 0),
    "_objectives": ("noise, the code, the loss", 2),
    "_columns": ("features in and out", 3),
    "_protocols": ("the contracts of the axes", 1),
    "metrics": ("scores without labels", 3),
    "datasets": ("data for examples", 2),
    "_utils": ("knows nothing of the package", 1),
    "exceptions": ("errors", 4),
}

WIDTH, HEIGHT = 244, 46
COLUMN, ROW = 262, 80
MARGIN = 10


def read_imports() -> dict[str, set[str]]:
    """Return the rooms that each room imports directly."""
    imports: dict[str, set[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        room = path.relative_to(SOURCE).with_suffix("").parts[0]
        imported = imports.setdefault(room, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                package, _, rest = name.partition(".")
                if package == PACKAGE:
                    imported.add(rest.partition(".")[0])
    rooms = set(imports)
    # A name of the package itself, as `from sk_autoencoder import __version__`.
    return {
        room: {name if name in rooms else "__init__" for name in imported} - {room}
        for room, imported in imports.items()
    }


def reachable(room: str, imports: dict[str, set[str]]) -> set[str]:
    """Return the rooms that a room imports, directly or through others."""
    found: set[str] = set()
    for other in imports[room]:
        found |= {other} | reachable(other, imports)
    return found


def without_shortcuts(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the imports that do not follow from others."""
    return {
        room: direct - set().union(*(reachable(other, imports) for other in direct))
        for room, direct in imports.items()
    }


def heights(imports: dict[str, set[str]]) -> dict[str, int]:
    """Return how many rooms lie below each in the longest chain of imports."""
    height: dict[str, int] = {}
    for room in TopologicalSorter(imports).static_order():
        height[room] = max((height[other] + 1 for other in imports[room]), default=0)
    return height


def draw() -> str:
    """Return the drawing as SVG."""
    # Nobody but users imports the package itself: what does asks for its version.
    imports = {room: names - {"__init__"} for room, names in read_imports().items()}
    if imports.keys() != ROOMS.keys():
        raise ValueError(
            "expected a line in ROOMS for each room, got others: "
            f"{sorted(imports.keys() ^ ROOMS.keys())}"
        )
    height = heights(imports)
    top = max(height.values())
    corner = {
        room: (MARGIN + column * COLUMN, MARGIN + (top - height[room]) * ROW)
        for room, (_, column) in ROOMS.items()
    }
    lines = []
    for room, below in sorted(without_shortcuts(imports).items()):
        for other in sorted(below):
            x1, y1 = corner[room][0] + WIDTH // 2, corner[room][1] + HEIGHT
            x2, y2 = corner[other][0] + WIDTH // 2, corner[other][1] - 5
            for between, (x, y) in corner.items():
                if x == corner[other][0] and y1 < y < y2:
                    raise ValueError(
                        f"expected no room between {room} and {other}, got {between}. "
                        f"Move {other} to another column in ROOMS."
                    )
            # Across between two rows first, then down in the column of the lower room.
            lines.append(
                f'<path d="M {x1} {y1} L {x2} {y1 + 25} V {y2}" fill="none" '
                'stroke="#777" marker-end="url(#arrow)"/>'
            )
    for room, (text, _) in ROOMS.items():
        x, y = corner[room]
        name = PACKAGE if room == "__init__" else room
        fill = "#f4f4f4" if room.startswith("_") and room != "__init__" else "#dcebf7"
        lines += [
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="4" '
            f'fill="{fill}" stroke="#777"/>',
            f'<text x="{x + WIDTH // 2}" y="{y + 19}" font-weight="bold">{name}</text>',
            f'<text x="{x + WIDTH // 2}" y="{y + 36}">{escape(text)}</text>',
        ]
    columns = 1 + max(column for _, column in ROOMS.values())
    width, depth = 2 * MARGIN + columns * COLUMN, 2 * MARGIN + (top + 1) * ROW
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {depth}" '
            'font-family="sans-serif" font-size="12" text-anchor="middle">',
            '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" '
            'markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M 0 0 L 8 4 L 0 8 z" fill="#777"/></marker></defs>',
            f'<rect width="{width}" height="{depth}" fill="white"/>',
            *lines,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    DRAWING.write_text(draw(), encoding="utf-8")
