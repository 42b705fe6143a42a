"""Unknown bytes raise RemoteProtocolError and nothing else; every message survives the wire."""

from __future__ import annotations

import contextlib
import pickle
import types
import typing
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from funcx_core.errors import RemoteProtocolError
from funcx_core.protocol import client, codec, endpoint, handoff, manager, worker
from funcx_core.protocol.codec import Decoder, encode

MODULES = (client, handoff, endpoint, manager, worker)
DECODERS = {
    f"{module.__name__.rsplit('.', 1)[1]}.{name}": decoder
    for module in MODULES
    for name, decoder in vars(module).items()
    if isinstance(decoder, Decoder)
}
UNIONS: dict[str, Any] = {
    "client.from_client": client.FromClient,
    "client.to_client": client.ToClient,
    "handoff.to_forwarder": handoff.ToForwarder,
    "handoff.from_forwarder": handoff.FromForwarder,
    "endpoint.tasks_from_endpoint": endpoint.ToTasks,
    "endpoint.results_from_endpoint": endpoint.ToResults,
    "endpoint.commands_from_endpoint": endpoint.ToCommands,
    "endpoint.tasks_from_forwarder": endpoint.FromTasks,
    "endpoint.results_from_forwarder": endpoint.FromResults,
    "endpoint.commands_from_forwarder": endpoint.FromCommands,
    "manager.from_manager": manager.FromManager,
    "manager.to_manager": manager.ToManager,
    "worker.from_worker": worker.FromWorker,
    "worker.chunk_decoder": worker.Chunk,
    "worker.recall_decoder": worker.Recall,
}

few = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
SMALL = st.integers(0, 2**53)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: SMALL,
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(max_size=20),
    bytes: st.binary(max_size=50),
    type(None): st.none(),
    Any: st.none() | st.booleans() | SMALL | st.text(max_size=5) | st.lists(SMALL, max_size=2),
}


BEING_MADE: set[type] = set()


@cache
def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Any value of an annotated type, as the messages use them. A strategy is made once: that takes longer than a draw."""
    annotation = getattr(annotation, "__supertype__", annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation in VALUES:
        return VALUES[annotation]
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values(argument) for argument in arguments])
    if origin in (list, tuple):
        return st.lists(values(arguments[0]), max_size=2).map(origin)
    if origin is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=1)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return struct(annotation)
    return st.sampled_from(list(annotation))


def struct(annotation: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    """Any value of a structure; one within itself has only what it must have."""
    hints = typing.get_type_hints(annotation)
    fields = msgspec.structs.fields(annotation)
    names = [field.name for field in fields if field.required or annotation not in BEING_MADE]
    within = annotation in BEING_MADE
    BEING_MADE.add(annotation)
    try:
        return st.builds(annotation, **{name: values(hints[name]) for name in names})
    finally:
        if not within:
            BEING_MADE.discard(annotation)


MESSAGES = [(name, message) for name, union in UNIONS.items() for message in (typing.get_args(union) or (union,))]


def test_every_decoder_is_in_this_table() -> None:
    assert set(DECODERS) == set(UNIONS)


@pytest.mark.parametrize("name", DECODERS)
@few
@given(data=st.binary(max_size=300))
def test_arbitrary_bytes_are_a_message_or_a_protocol_error(name: str, data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        DECODERS[name].decode(data)


@pytest.mark.parametrize("name", DECODERS)
@few
@given(st.data())
def test_a_message_with_a_changed_byte_is_a_message_or_a_protocol_error(name: str, data: st.DataObject) -> None:
    message = data.draw(values(UNIONS[name]))
    body = bytearray(encode(message))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RemoteProtocolError):
        DECODERS[name].decode(bytes(body))


@pytest.mark.parametrize(("name", "message"), MESSAGES, ids=lambda value: getattr(value, "__name__", value))
@few
@given(st.data())
def test_a_message_survives_the_wire(name: str, message: Any, data: st.DataObject) -> None:
    sent = data.draw(values(message))
    assert DECODERS[name].decode(encode(sent)) == sent


BOMBS = {
    "nested arrays": b"\x91" * 200_000,
    "nested maps": b"\x81\xa1a" * 100_000,
    "a huge array that is not there": b"\xdd\xff\xff\xff\xff",
    "a huge string that is not there": b"\xdb\xff\xff\xff\xff",
    "a huge binary that is not there": b"\xc6\xff\xff\xff\xff",
    "an extension type": b"\xc7\x05\x01hello",
    "invalid UTF-8": b"\x81\xa4type\xa2\xff\xfe",
    "a pickle": pickle.dumps({"type": "results"}),
    "two messages": encode(endpoint.Heartbeat()) * 2,
    "a message without its tag": b"\x80",
    "an unknown tag": encode({"type": "no such message"}),
    "a wrong type inside": encode({"type": "attach", "epoch": "soon"}),
    "JSON": b'{"type": "attach", "epoch": 1}',
}


# A union of one message without fields is also read without its tag.
HARMLESS = ("worker.recall_decoder", "a message without its tag")


@pytest.mark.parametrize(
    ("name", "bomb"), [(name, bomb) for name in DECODERS for bomb in BOMBS if (name, bomb) != HARMLESS]
)
def test_bombs_are_protocol_errors(name: str, bomb: str) -> None:
    with pytest.raises(RemoteProtocolError):
        DECODERS[name].decode(BOMBS[bomb])


def test_an_error_quotes_no_payload() -> None:
    secret = b"a secret that must not be in a log"
    with pytest.raises(RemoteProtocolError) as caught:
        endpoint.results_from_endpoint.decode(encode({"type": "results", "results": secret}))
    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_fields_that_a_newer_peer_added_are_ignored() -> None:
    body = encode({"type": "attach", "epoch": 3, "something_new": [1, 2]})
    assert endpoint.tasks_from_endpoint.decode(body) == endpoint.Attach(3)


def test_fields_that_an_older_peer_does_not_send_have_defaults() -> None:
    body = encode({"type": "registered", "epoch": 1, "heartbeat_period": 1.0, "heartbeat_threshold": 3.0})
    assert endpoint.commands_from_forwarder.decode(body) == endpoint.Registered(1, 1.0, 3.0)


def test_a_memoryview_can_be_decoded() -> None:
    assert endpoint.tasks_from_endpoint.decode(memoryview(encode(endpoint.Attach(7)))) == endpoint.Attach(7)


def test_decoders_of_other_modules_are_built_the_same_way() -> None:
    assert isinstance(codec.Decoder(endpoint.Attach).decode(encode(endpoint.Attach(1))), endpoint.Attach)
