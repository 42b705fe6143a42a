"""What stays with a task of where it comes from."""

from __future__ import annotations

import ast
import subprocess

import pytest

from funcx_core.cells.seeds import may_have_seeds, noting, seeds_of, watched, with_noted
from funcx_core.cells.spec import CellOutcome, CellSpec
from funcx_jupyter.display.header import Header
from funcx_jupyter.origin.commit import commit_of, head_of
from funcx_jupyter.origin.facts import origin_of, told


def git(folder, *words):
    subprocess.run(
        ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True, capture_output=True
    )


@pytest.mark.parametrize(
    ("source", "seeds"),
    [
        ("import random\nrandom.seed(4)\nnp.random.seed(0)", ["random.seed(4)", "np.random.seed(0)"]),
        ("rng = np.random.default_rng(7)\nr = Random('x')", ["np.random.default_rng(7)", "Random('x')"]),
        ("m = Forest(random_state=3)\nm.fit(x, seed=2)", ["random_state=3", "seed=2"]),
        ("torch.manual_seed(n); np.random.seed(); f(3); seed = 4", []),
        ("x = = 1", []),
    ],
)
def test_seeds_that_a_cell_sets(source, seeds):
    assert seeds_of(source) == seeds


def test_the_same_cell_has_the_same_hashes():
    spec = CellSpec(source="\nx + 1", text="%%funcx\nx + 1", filename="f", names=["x"], values=b"1")
    first = origin_of(spec, "c0ffee")
    assert first == origin_of(spec, "c0ffee")
    assert (first["commit"], sorted(first)) == ("c0ffee", ["code", "commit", "inputs"])
    other = origin_of(CellSpec(source="\nx + 1", text="%%funcx\nx + 1", filename="f", names=["x"], values=b"2"), "")
    assert origin_of(spec, "", container="1111")["container"] == "1111"
    assert (other["code"] == first["code"], other["inputs"] == first["inputs"]) == (True, False)


def test_the_commit_of_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("funcx_jupyter.origin.commit._PATIENCE", 30)
    assert commit_of(tmp_path) == ""
    git(tmp_path, "init", "-q")
    assert commit_of(tmp_path) == ""  # none yet
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-qm", "a")
    head = subprocess.run(
        ["git", "-C", tmp_path, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
    ).stdout
    below = tmp_path / "below"
    below.mkdir()
    assert commit_of(below) == head.strip()
    (tmp_path / "a").write_text("2")
    assert commit_of(tmp_path) == f"{head.strip()} and changes"
    git(tmp_path, "worktree", "add", "-q", tmp_path / "tree")
    git(tmp_path, "pack-refs", "--all")
    assert head_of(tmp_path / "tree") == head_of(tmp_path) == head.strip()
    git(tmp_path, "checkout", "-q", "--detach")
    assert head_of(tmp_path) == head.strip()


def test_where_a_result_comes_from_is_folded_up_under_its_line():
    outcome = CellOutcome(
        hostname="nid1", python_version="3.12.1", packages={"numpy": "2.1"}, origin={"code": "a" * 64, "seed": "seed=3"}
    )
    header = Header(endpoint="theta", task_id="t", origin=told(outcome))
    assert (
        "<details><summary>where this comes from</summary><div>host: nid1</div><div>python: 3.12.1</div>"
        in header.as_html()
    )
    assert "<div>sha256: code aaaaaaaaaaaa</div><div>seed: seed=3</div>" in header.as_html()
    assert "nid1" not in header.as_text()
    boxed = told(CellOutcome(origin={"container": "1111"}, image="sha256:c0ffee"))
    assert boxed == (("container", "1111 · sha256:c0ffee"),)
    assert "details" not in Header(endpoint="theta", task_id="t").as_html()


SEEDS = """
import random
from types import SimpleNamespace as Rng
np = Rng(random=Rng(default_rng=lambda seed: seed))
year, seed = 2024, 7
random.seed(year)
rng = np.random.default_rng(year + 1)
def later(seed):
    random.seed(seed)
later(seed)
[random.Random(number) for number in range(2)]
model = dict(random_state=np.random.default_rng(5))
random.seed(None), random.seed("x" + "y"), random.seed(2**300)
"""


def run_watched(source):
    namespace = {}
    exec(compile(watched(ast.parse(source)), "<cell>", "exec"), namespace)
    return namespace


def test_seeds_that_only_the_run_tells():
    with noting():
        namespace = run_watched(SEEDS)
        assert with_noted("np.random.default_rng(5)").split(", ") == [
            "np.random.default_rng(5)",
            "random.seed(2024)",
            "np.random.default_rng(2025)",
            "seed=7",
            "random.Random(0)",
            "random.Random(1)",
            "random_state=5",
        ]
    assert namespace["rng"] == 2025
    assert with_noted("random.seed(4)") == "random.seed(4)"


def test_of_many_seeds_the_first_are_told():
    with noting():
        run_watched("import random\nfor n in range(100): random.seed(n)")
        assert with_noted("").split(", ") == [f"random.seed({n})" for n in range(8)]


def test_what_may_outlive_the_cell_stays_what_its_author_wrote():
    source = "def f(n):\n    random.seed(n)\ng = lambda n: random.seed(n)\nclass C:\n    m = random.seed(n)"
    assert ast.dump(watched(ast.parse(source))) == ast.dump(ast.parse(source))


def test_a_seed_that_raises_is_told_where_it_stands():
    source = "import random\n\nrandom.seed(\n    missing)"
    with noting(), pytest.raises(NameError) as caught:
        run_watched(source)
    assert caught.tb.tb_next.tb_next.tb_lineno == 4
    assert may_have_seeds(source)
    assert not may_have_seeds("x = np.arange(4)")
