"""In which order tasks of several owners and priorities are leased to one endpoint."""

from __future__ import annotations

from funcx_core.forwarder.counters import Counters
from funcx_core.forwarder.effects import Commit, LoadOffers, SendTasks
from funcx_core.forwarder.leases import EndpointLeases
from funcx_core.forwarder.records import Limits, Session
from funcx_core.ids import TaskId, UserId
from funcx_core.protocol.handoff import Offer
from funcx_core.protocol.task import Lease, TaskOptions
from tests.support.offers import GROUP, A, a_result, a_task


class Forwarder:
    """The leases of one endpoint; whatever is to be committed is committed at once."""

    def __init__(self, *, window: int, limits: Limits | None = None, stored: tuple[str, ...] = ()) -> None:
        self.leases = EndpointLeases(A, limits or Limits(), Counters())
        self.sent: list[str] = []
        session = Session(1, 1, window, b"c", tasks_route=b"t", results_route=b"r")
        self.leases.restore(session, [], [], [])
        self.perform(self.leases.deal())
        self.perform(self.leases.listed([TaskId(name) for name in stored]))

    def perform(self, effects: list) -> None:
        for effect in effects:
            if isinstance(effect, SendTasks):
                self.sent += [task.task_id for task in effect.tasks]
            elif isinstance(effect, Commit):
                self.perform(self.leases.committed(effect))
        self.leases.check()

    def submit(self, owner: str, number: int, *, priority: int = 0, name: str = "") -> None:
        offers = [offer(f"{name or owner}{n}", owner, priority) for n in range(number)]
        self.perform(self.leases.submitted(offers))

    def end(self, *names: str) -> None:
        self.perform(self.leases.results([a_result(name) for name in names]))


def offer(name: str, owner: str, priority: int = 0) -> Offer:
    task = a_task(name)
    if priority:
        task = type(task)(task.task_id, 1, task.function_id, task.payload, TaskOptions(priority=priority))
    return Offer(task, UserId(owner), GROUP)


def test_owners_share_a_window() -> None:
    forwarder = Forwarder(window=8)
    forwarder.submit("a", 1000)
    forwarder.submit("b", 1000)
    for _ in range(40):
        forwarder.end(forwarder.sent[len(forwarder.sent) - forwarder.leases.leased])
    recent = "".join(name[0] for name in forwarder.sent[-40:])
    assert abs(recent.count("a") - recent.count("b")) <= 4


def test_one_task_does_not_wait_for_a_window_that_somebody_else_fills() -> None:
    forwarder = Forwarder(window=8)
    forwarder.submit("a", 100_000)
    assert forwarder.leases.leased == 8
    forwarder.submit("b", 5)
    assert forwarder.sent[8:] == ["b0", "b1"], "a quarter of the window is beyond it"


def test_a_window_that_is_closed_is_closed_for_all() -> None:
    forwarder = Forwarder(window=0)
    forwarder.submit("a", 10)
    forwarder.submit("b", 1)
    assert forwarder.sent == []


def test_long_tasks_of_one_do_not_crowd_out_short_ones_of_another() -> None:
    forwarder = Forwarder(window=8)
    forwarder.submit("a", 1000)
    forwarder.submit("b", 1000)
    for _ in range(100):  # Only tasks of b end.
        short = [name for name in forwarder.sent if name[0] == "b"]
        forwarder.end(short[-1])
    assert sum(name[0] == "b" for name in forwarder.sent) > 100


def test_the_highest_priority_of_an_owner_goes_first() -> None:
    forwarder = Forwarder(window=2)
    forwarder.submit("a", 4, name="low", priority=-1)
    forwarder.submit("a", 2, name="high", priority=7)
    forwarder.end("low0", "low1")
    assert forwarder.sent[:3] == ["low0", "low1", "high0"]
    assert "low2" not in forwarder.sent[:4]


def test_what_fills_the_memory_leaves_room_for_others() -> None:
    forwarder = Forwarder(window=4, limits=Limits(pending_tasks=50))
    forwarder.submit("a", 1000)
    forwarder.submit("a", 10, name="later")
    forwarder.submit("b", 1)
    assert "b0" in forwarder.sent
    assert not any(name.startswith("later") for name in forwarder.sent)


def test_before_the_store_was_read_nothing_overtakes_what_is_in_it() -> None:
    forwarder = Forwarder(window=4)
    forwarder.leases.more()
    forwarder.submit("b", 1)
    assert forwarder.sent == []


def test_a_returned_task_is_read_again_although_much_is_pending() -> None:
    forwarder = Forwarder(window=4, limits=Limits(page_tasks=20))
    forwarder.submit("a", 1000)
    forwarder.submit("b", 1)
    (begin,) = forwarder.leases._return(forwarder.leases._still_leased([Lease(TaskId("b0"), 1)]))
    forwarder.perform([])
    effects = forwarder.leases.attempts_begun(begin)
    assert LoadOffers(A, [TaskId("b0")]) in effects


def test_owners_of_the_past_are_forgotten() -> None:
    forwarder = Forwarder(window=4)
    for number in range(600):
        forwarder.submit(f"u{number:03}-", 1)
        forwarder.end(forwarder.sent[-1])
    assert len(forwarder.leases._turns._lanes) < 300
