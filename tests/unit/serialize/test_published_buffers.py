"""Buffers that the published packages made themselves (tests/fixtures/published) are read, all of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from funcx_core.errors import NotPlainData
from funcx_core.serialize import FuncXSerializer, unpack_call, unpack_function, unpack_value
from funcx_core.serialize.methods import decode
from tests.fixtures.published.make import VALUES, area, greet

FOLDER = Path(__file__).parents[2] / "fixtures" / "published"
RELEASES = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
BUFFERS = [
    pytest.param(release, buffer, id=f"{release}-{buffer['kind']}-{buffer['id']}-{buffer['name']}")
    for release, made in RELEASES.items()
    for buffer in made["buffers"]
    if "buffer" in buffer
]
CODE = [param for param in BUFFERS if param.values[1]["kind"] == "code"]
DATA = [param for param in BUFFERS if param.values[1]["kind"] == "data"]
JSON_METHODS = {("0.0.3", "00"), ("4.19.0", "11"), ("4.19.0", "13")}


def test_every_identifier_of_every_era_is_among_them():
    found = {(made["version"], buffer["id"]) for made in RELEASES.values() for buffer in made["buffers"]}
    assert {identifier for _, identifier in found} == {
        *("00", "01", "02", "03", "04", "10", "11", "12", "13"),
        *("st", "sd"),
    }
    assert {version for version, _ in found} == {"0.0.3", "0.2.3", "0.3.9", "1.0.6", "4.19.0"}


@pytest.mark.parametrize(("release", "buffer"), CODE)
def test_a_function_of_a_published_client_runs(release, buffer):
    made_with = tuple(map(int, RELEASES[release]["python"].split(".")[:2]))
    if buffer["id"] == "01" and made_with != sys.version_info[:2]:
        pytest.skip(f"byte code of Python {made_with} runs in no other")
    function = decode(buffer["buffer"])
    match buffer["name"]:
        case "greet":
            assert function("Ada", times=3) == greet("Ada", times=3)
        case "area":
            assert function(2, 3) == area(2, 3)
        case "join":
            assert function(["a", "b c"]) == "a 'b c'"


@pytest.mark.parametrize(("release", "buffer"), DATA)
@pytest.mark.parametrize("data_only", [False, True])
def test_a_value_of_a_published_client_arrives(release, buffer, data_only):
    expected = VALUES[buffer["name"]]
    if (RELEASES[release]["version"], buffer["id"]) in JSON_METHODS:
        expected = json.loads(json.dumps(expected))
    assert unpack_value(buffer["buffer"].encode(), data_only=data_only) == expected


@pytest.mark.parametrize(("release", "buffer"), CODE)
def test_a_function_is_no_data(release, buffer):
    with pytest.raises(NotPlainData):
        unpack_value(buffer["buffer"].encode(), data_only=True)


@pytest.mark.parametrize("release", RELEASES)
def test_what_a_published_client_packs_is_a_function_and_its_call(release):
    packed = RELEASES[release]["packed"]
    serializer = FuncXSerializer()
    code, args, kwargs = serializer.unpack_buffers(packed)
    assert unpack_call(serializer.pack_buffers([args, kwargs]).encode()) == (("Ada",), {"times": 1})
    assert serializer.pack_buffers([code, args, kwargs]) == packed
    assert unpack_function(serializer.pack_buffers([code]).encode())("Ada") == greet("Ada")


def test_lengths_count_characters_where_the_source_is_not_ascii():
    buffer = next(
        buffer["buffer"]
        for buffer in RELEASES["globus-compute-sdk-4.19.0"]["buffers"]
        if (buffer["id"], buffer["name"]) == ("st", "greet")
    )
    packed = FuncXSerializer().pack_buffers([buffer])
    assert packed.startswith(f"{len(buffer)}\n")
    assert len(buffer) != len(buffer.encode())
    assert unpack_function(packed.encode())("Ada") == greet("Ada")


def test_a_nested_function_of_the_first_release_is_read_as_it_stood_in_its_file():
    body = "    def f(x):\n        return x + 1\n"
    assert decode("st\nf:" + body)(1) == 2


def test_combined_code_is_divided_by_labels_and_not_by_colons():
    source = "def f(x):\n    return {'a': x}['a'] + 1\n"
    assert decode(f"10\n04\n:!!!!:sd\n:f:{source}:st\n:f:{source}")(1) == 2
