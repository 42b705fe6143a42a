"""Large inputs on their way into the store."""

from __future__ import annotations

import math

import pytest

from funcx_core.errors import Conflict
from funcx_core.protocol.client import Limits
from funcx_core.sdk.transfer import Progress
from funcx_jupyter.capture.names import NameUse
from funcx_jupyter.capture.values import Notebook, pack
from funcx_jupyter.errors import CellInterrupted, LargeInputError
from funcx_jupyter.session.staging import Staging
from tests.unit.jupyter.fake_service import FakeStore

MEGA = 1_000_000


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class SlowStore(FakeStore):
    """Takes a second for each chunk."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.chunk = MEGA

    def send(self, reference, content, state, *, on_progress=None):
        def tell(progress: Progress) -> None:
            self._clock.now += 1.0
            on_progress(progress)

        super().send(reference, content, state, on_progress=tell)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock) -> SlowStore:
    return SlowStore(clock)


@pytest.fixture
def staging(clock) -> Staging:
    return Staging(clock)


def captured(**variables):
    return pack([NameUse(name, 1, required=True) for name in variables], Notebook(variables), exclude=())


def stage(staging, store, variables, *, seconds=60.0, told=None, limits=None):
    told = [] if told is None else told
    return staging.stage(store, variables, limits or Limits(), endpoint="theta", seconds=seconds, tell=told.append)


def test_what_is_there_is_not_sent_again(staging, store):
    X = captured(X=b"x" * MEGA, n=1)
    first = stage(staging, store, X)
    assert (len(first.blobs), first.cached, len(store.sent)) == (1, frozenset(), 1)
    second = stage(staging, store, X)
    assert (second.blobs, second.cached) == (first.blobs, frozenset(X.packed.parts))
    assert len(store.sent) == 1


def test_a_blob_that_has_expired_is_sent_under_another_id(staging, store):
    X = captured(X=b"x" * MEGA)
    (before,) = stage(staging, store, X).blobs
    announce = store.announce

    def gone(reference):
        if reference.blob_id == before.blob_id:
            raise Conflict("gone")
        return announce(reference)

    store.announce = gone
    staged = stage(staging, store, X)
    assert staged.cached == frozenset()
    assert staged.blobs[0].blob_id != before.blob_id
    assert staged.blobs[0].sha256 == before.sha256


def test_how_far_it_is_is_told(staging, store):
    told: list[str] = []
    stage(staging, store, captured(X=b"x" * (4 * MEGA)), told=told)
    assert told[1] == "staging X: 2.0 MB of 4.0 MB at 1.0 MB/s"
    assert staging.rate == pytest.approx(MEGA, rel=0.25)
    assert staging.seconds(60 * MEGA) == pytest.approx(60, rel=0.25)


def test_what_takes_long_by_what_is_known_is_not_begun(staging, store):
    staging.rate = 11.0 * MEGA
    with pytest.raises(LargeInputError) as caught:
        stage(staging, store, captured(X=b"x" * (8 * MEGA), n=1), seconds=0.5)
    assert str(caught.value) == (
        "`X` is 8.0 MB; staging it will take about 0 s at 11 MB/s. Use `--ref`-ed data on theta, or pass --yes."
    )
    assert store.sent == []
    assert store.begun == {}  # the quota is not held


def test_what_takes_long_by_its_first_chunks_is_given_up_and_goes_on_when_asked_for(staging, store):
    X = captured(X=b"x" * (100 * MEGA))
    with pytest.raises(LargeInputError, match=r"`X` is 100 MB; staging it will take about 1 min at 1\.0 MB/s"):
        stage(staging, store, X)
    (begun,) = store.begun.values()
    assert begun == 2
    told: list[str] = []
    staged = stage(staging, store, X, seconds=math.inf, told=told)
    assert told[0] == "staging X: 1.0 MB of 98 MB at 1.0 MB/s"
    assert store.blobs.keys() == {staged.blobs[0].blob_id}


def test_an_interrupt_ends_it_and_what_has_come_stays(staging, store):
    X = captured(X=b"x" * (9 * MEGA))

    def interrupt(note: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(CellInterrupted, match="The cell was not sent"):
        staging.stage(store, X, Limits(), endpoint="theta", seconds=60.0, tell=interrupt)
    assert store.is_closed
    assert list(store.begun.values()) == [1]


def test_what_the_service_never_takes_is_named(staging, store):
    X = captured(X=b"x" * (2 * MEGA))
    with pytest.raises(LargeInputError, match=r"`X` has 2\.0 MB in one piece, and this service takes at most 1\.0 MB"):
        stage(staging, store, X, limits=Limits(max_blob=MEGA))


def test_what_is_there_can_be_asked_for_without_changing_anything(staging, store):
    X, Y = captured(X=b"x" * MEGA), captured(Y=b"y" * MEGA)
    blobs = stage(staging, store, X).blobs
    assert staging.present(store, [*X.packed.parts, *Y.packed.parts]) == frozenset(X.packed.parts)
    assert staging.is_there(store, blobs)
    store.begun.clear()
    assert not staging.is_there(store, blobs)
    assert staging.present(store, X.packed.parts) == frozenset()
