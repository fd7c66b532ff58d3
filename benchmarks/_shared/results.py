"""What a long benchmark has measured, in a file from which it goes on when cut off."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

__all__ = ["LineFile"]


class LineFile:
    """All lines so far, in a file where one is given; to be derived from.

    Parameters
    ----------
    path : Path or None
        One JSON object a line. What is there is read.

    Attributes
    ----------
    kind : type
        Dataclass of a line, with a `key` that tells it from others.
    all : dict
        Lines by key; a later one takes the place of an earlier one.
    """

    kind: ClassVar[type]

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.all: dict[tuple, Any] = {}
        if path is None or not path.exists():
            return
        text = path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:  # cut off in the middle of a line
            path.write_text(whole, encoding="utf-8")
        for row in whole.splitlines():
            line = self.kind(**json.loads(row))
            self.all[line.key] = line

    def __contains__(self, key: tuple) -> bool:
        return key in self.all

    def add(self, line: Any) -> None:
        """Keep one line, in the file too."""
        self.all[line.key] = line
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(line)) + "\n")
