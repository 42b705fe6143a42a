"""All combinations of bounds, parallelism and idle time: how many blocks there are for a load that comes and goes."""

from __future__ import annotations

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from funcx_core.ids import ManagerId
from funcx_endpoint.blocks.records import BlockPolicy, Cancel, Load, Submit
from funcx_endpoint.blocks.scaling import needed, raised
from funcx_endpoint.blocks.state import Blocks

POLICIES = st.builds(
    lambda init, least, more, slots, parallelism, idle_time: BlockPolicy(
        init=init, least=least, most=least + more, slots=slots, parallelism=parallelism, idle_time=idle_time
    ),
    st.integers(0, 6),
    st.integers(0, 3),
    st.integers(0, 4),
    st.integers(1, 8),
    st.sampled_from([0.0, 0.01, 0.3, 0.5, 1.0]),
    st.sampled_from([0.0, 5.0, 60.0]),
)


class Site:
    """A provider that gives what it is asked for at once."""

    def __init__(self, policy):
        self.machine = Blocks(policy)
        self.now = 0.0
        self.living = []

    def perform(self, effects):
        for effect in effects:
            match effect:
                case Submit(block_id=block_id):
                    self.living.append(block_id)
                    self.machine.submitted(block_id)
                    self.machine.manager_joined(block_id, manager_of(block_id))
                case Cancel(block_id=block_id):
                    self.living.remove(block_id)
                    self.machine.manager_left(block_id, manager_of(block_id), now=self.now)

    def step(self, tasks, busy=0, seconds=1.0):
        self.now += seconds
        managers = frozenset(manager_of(block_id) for block_id in self.living[:busy])
        self.perform(self.machine.tick(now=self.now))
        self.perform(self.machine.follow(Load(tasks, managers), now=self.now))


def manager_of(block_id):
    return ManagerId(f"m{block_id}")


def wanted(policy, tasks):
    if not tasks:
        return policy.least
    return max(policy.least, min(policy.most, max(1, ceil(tasks * policy.parallelism / policy.slots))))


@given(POLICIES)
def test_an_endpoint_begins_with_its_init_blocks_within_its_bounds(policy):
    site = Site(policy)
    site.perform(site.machine.tick(now=0.0))
    assert len(site.living) == max(policy.least, min(policy.init, policy.most))


@given(POLICIES, st.integers(0, 100))
def test_a_load_has_the_blocks_that_it_needs_at_once(policy, tasks):
    site = Site(policy)
    site.step(tasks)
    assert wanted(policy, tasks) <= len(site.living) <= policy.most


@given(POLICIES, st.lists(st.integers(0, 60), min_size=1, max_size=12))
def test_blocks_stay_within_their_bounds_whatever_the_load_does(policy, loads):
    site = Site(policy)
    for tasks in loads:
        site.step(tasks, busy=min(tasks, len(site.living)))
        assert policy.least <= len(site.living) <= policy.most


@given(POLICIES, st.integers(0, 60))
def test_what_is_idle_for_long_enough_goes_and_what_is_needed_stays(policy, tasks):
    site = Site(policy)
    site.step(60)
    before = len(site.living)
    site.step(tasks, seconds=1)
    if policy.idle_time > 1:
        assert len(site.living) == before, "not before its time"
    site.step(tasks, seconds=policy.idle_time)
    site.step(tasks, seconds=1)
    assert len(site.living) == min(before, wanted(policy, tasks))


@given(POLICIES, st.integers(0, 3))
def test_a_block_that_works_is_never_given_up(policy, busy):
    site = Site(policy)
    site.step(60)
    working = site.living[:busy]
    for _ in range(4):
        site.step(0, busy=busy, seconds=policy.idle_time + 1)
    assert set(working) <= set(site.living)


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3)),
    st.dictionaries(st.sampled_from("abcd"), st.integers(0, 5)),
    st.integers(0, 8),
)
def test_room_is_shared_among_kinds_with_one_for_each_first(have, tasks, most):
    needs = needed(Load(kinds=tasks), BlockPolicy(most=most), by_kind=True) if most else {}
    result = raised(have, needs, most)
    assert all(result[kind] >= number for kind, number in have.items()), "nothing is taken away"
    assert sum(result.values()) <= max(most, sum(have.values()))
    without = [kind for kind in needs if not result.get(kind)]
    new = [kind for kind in result if result[kind] > max(have.get(kind, 0), 1)]
    assert not (without and new), "nobody gets a second one while another has none"
    if sum(result.values()) < most:
        assert all(result.get(kind, 0) >= number for kind, number in needs.items()), (
            "room is left only if it is not needed"
        )
