"""The examples of the documentation run, and print what the page says they print."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PRINTED = re.compile(r"^\s*print\(.*\)  # (.*)$", re.MULTILINE)


@pytest.mark.parametrize("page", ["sdk.md"])
def test_the_examples_of_a_page_print_what_it_says(fabric, page):
    blocks = BLOCK.findall((DOCS / page).read_text())
    expected = [line for block in blocks for line in PRINTED.findall(block)]
    assert len(expected) > 5
    done = fabric.script("\n".join(blocks), timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == expected
