"""The kinds of nodes of an endpoint."""

from __future__ import annotations

from funcx_core.protocol.environment import MOST_ENVIRONMENTS, Environment
from funcx_endpoint.interchange.environments import Environments


def test_nodes_alike_are_one_kind_and_only_news_is_news() -> None:
    known = Environments()
    cpu = Environment(python_version="3.11.7", cores=8)
    gpu = Environment(python_version="3.11.7", cores=64)
    assert [known.note(cpu), known.note(cpu), known.note(gpu)] == [True, False, True]
    assert known.known == [cpu, gpu]


def test_what_was_installed_meanwhile_replaces_what_was_reported_of_that_place() -> None:
    known = Environments()
    known.note(Environment(python_version="3.11.7", executable="/env/bin/python"))
    later = Environment(python_version="3.11.7", executable="/env/bin/python", packages={"numpy": "2.1"})
    assert known.note(later)
    assert known.known == [later]


def test_only_so_many_kinds_are_kept() -> None:
    known = Environments()
    for cores in range(1, MOST_ENVIRONMENTS + 3):
        known.note(Environment(python_version="3.11.7", cores=cores))
    assert [one.cores for one in known.known] == list(range(3, MOST_ENVIRONMENTS + 3))


def test_images_that_nodes_of_one_kind_tell_of_are_put_together() -> None:
    known = Environments()
    node = Environment(python_version="3.11.7")
    first, second = (Environment(python_version="3.11.7", images={name: f"sha256:{name}"}) for name in "ab")
    assert [known.note(one) for one in (node, first, second, first, node)] == [True, True, True, False, False]
    assert known.known == [
        Environment(python_version="3.11.7", images={"a": "sha256:a", "b": "sha256:b"}),
    ]
    assert known.note(Environment(python_version="3.11.7", images={"a": "sha256:new"}))
    assert known.known[0].images == {"b": "sha256:b", "a": "sha256:new"}
