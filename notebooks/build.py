"""Makes ``NAME.ipynb`` of ``NAME.py`` for every notebook in this folder: ``python notebooks/build.py``.

The Python file is the source (percent format, as Jupytext and VS Code read it). Lines of magics are comments in it.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

_CELL = re.compile(r"^# %%(?: \[(?P<kind>markdown)\])?(?: tags=(?P<tags>\[.*\]))?$", re.MULTILINE)
_MAGIC = re.compile(r"^# (?=%)", re.MULTILINE)


def notebook(source: str) -> dict[str, Any]:
    """Return the notebook that a file in percent format describes, without outputs."""
    marks = list(_CELL.finditer(source))
    ends = [mark.start() for mark in marks[1:]] + [len(source)]
    cells = [
        _cell(number, mark, source[mark.end() : end])
        for number, (mark, end) in enumerate(zip(marks, ends, strict=True))
    ]
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(number: int, mark: re.Match[str], text: str) -> dict[str, Any]:
    kind = mark["kind"] or "code"
    body = text.strip("\n")
    body = re.sub(r"^# ?", "", body, flags=re.MULTILINE) if kind == "markdown" else _MAGIC.sub("", body)
    metadata = {"tags": json.loads(mark["tags"])} if mark["tags"] else {}
    cell = {
        "cell_type": kind,
        "id": f"cell-{number:02d}",
        "metadata": metadata,
        "source": body.splitlines(keepends=True),
    }
    return cell if kind == "markdown" else {**cell, "execution_count": None, "outputs": []}


def main() -> None:
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.name != Path(__file__).name:
            text = json.dumps(notebook(path.read_text()), indent=1, ensure_ascii=False)
            path.with_suffix(".ipynb").write_text(f"{text}\n")
            sys.stdout.write(f"{path.with_suffix('.ipynb').name}\n")


if __name__ == "__main__":
    main()
