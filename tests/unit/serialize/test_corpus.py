"""The corpus of functions and values runs in a clean interpreter, and in those of other Python versions where there are any."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import funcx_core
from funcx_core.serialize import PackedFunction, pack_call, unpack_value
from tests.support.corpus import FUNCTIONS, VALUES, same

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
OTHERS = [version for version in ("3.11", "3.12", "3.13") if version != HERE]
NEEDED = "import dill, msgspec, numpy, pandas"
ROOT = Path(funcx_core.__file__).parents[1]
PROGRAM = Path(__file__).parents[2] / "support" / "corpus_child.py"


def identity(value):
    return value


class Child:
    """One interpreter for many calls. It has this package and the libraries, and none of the tests' modules."""

    def __init__(self, command, folders):
        self.process = subprocess.Popen(
            [*command, str(PROGRAM), *map(str, folders)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd="/",
        )

    def run(self, function, *args):
        body, payload = PackedFunction(function).body, pack_call(args, {})
        for part in (body, payload):
            self.process.stdin.write(len(part).to_bytes(4, "big") + part)
        self.process.stdin.flush()
        kind = self.process.stdout.read(1)
        answer = self.process.stdout.read(int.from_bytes(self.process.stdout.read(4), "big"))
        assert kind in {b"v", b"e"}, "the interpreter died"
        if kind == b"e":
            raise RuntimeError(answer.decode())
        return unpack_value(answer)

    def close(self):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A folder with this package in it, and nothing else of the checkout."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "funcx_core").symlink_to(ROOT / "funcx_core")
    return folder


@pytest.fixture(scope="module")
def child(package):
    # Without `site`, so that no .pth file puts the checkout on the path.
    started = Child(
        [sys.executable, "-I", "-S"], [package, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    )
    yield started
    started.close()


def interpreter(version):
    """Return the Python of this version that has what the package needs; None if there is none."""
    named = os.environ.get("FUNCX_TEST_PYTHONS", "").split(os.pathsep)
    for python in [*named, str(ROOT / f".venv-{version}" / "bin" / "python"), shutil.which(f"python{version}") or ""]:
        if not python or not Path(python).exists():
            continue
        check = f"import sys; assert '%d.%d' % sys.version_info[:2] == {version!r}; {NEEDED}"
        if subprocess.run([python, "-I", "-c", check], capture_output=True, check=False, timeout=60).returncode == 0:
            return python
    return None


@pytest.fixture(scope="module", params=OTHERS)
def other(request, package):
    python = interpreter(request.param)
    if python is None:
        pytest.skip(
            f"no Python {request.param} with dill, msgspec, numpy and pandas: `make test-pythons`, or FUNCX_TEST_PYTHONS"
        )
    started = Child([python, "-I"], [package])
    yield started
    started.close()


def test_the_corpus_is_large_enough():
    assert len(FUNCTIONS) + len(VALUES) >= 40
    assert len({case.name for case in FUNCTIONS}) == len(FUNCTIONS)


@pytest.mark.parametrize("case", FUNCTIONS, ids=lambda case: case.name)
def test_a_function_runs_where_nothing_of_it_is(child, case):
    assert same(child.run(case.function, *case.args), case.result)


@pytest.mark.parametrize("case", FUNCTIONS, ids=lambda case: case.name)
def test_a_function_travels_as_source_where_it_can(case):
    assert (PackedFunction(case.function).body.split(b"\n")[1] == b"04") == case.source


@pytest.mark.parametrize("name", VALUES)
def test_a_value_comes_back_as_it_was(child, name):
    assert same(child.run(identity, VALUES[name]), VALUES[name])


# The class of an argument has methods, and they are byte code.
TEXT_ALONE = [case for case in FUNCTIONS if case.source and case.name != "enum in and out"]


@pytest.mark.parametrize("case", TEXT_ALONE, ids=lambda case: case.name)
def test_source_runs_under_another_python(other, case):
    assert same(other.run(case.function, *case.args), case.result)


def test_byte_code_is_refused_under_another_python_and_says_why(other):
    for case in FUNCTIONS:
        if case.name in {"closure", "lambda", "enum in and out", "decorated with wraps", "method"}:
            with pytest.raises(RuntimeError, match=rf"DeserializationError.*Python {HERE}"):
                other.run(case.function, *case.args)


OF_OWN_CLASSES = {
    "named tuple",
    "dataclass",
    "frozen dataclass with slots",
    "object",
    "slots",
    "types",
    "enum and flag",
}


@pytest.mark.parametrize("name", sorted(set(VALUES) - OF_OWN_CLASSES))
def test_a_value_crosses_to_another_python_and_back(other, name):
    assert same(other.run(identity, VALUES[name]), VALUES[name])
