"""Random histories of blocks: never more than allowed, never stuck below what is wanted, healthy again when one works."""

from __future__ import annotations

import itertools
import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from funcx_core.ids import ManagerId
from funcx_endpoint.blocks.failures import FAILURES_ALLOWED, LONGEST_PAUSE
from funcx_endpoint.blocks.records import BlockPolicy, Cancel, Load, Phase, ProviderState, Submit
from funcx_endpoint.blocks.state import Blocks

POLICIES = st.builds(
    lambda least, more, init, slots, scales: BlockPolicy(
        init=init, least=least, most=least + more, slots=slots, scales=scales, idle_time=30, start_timeout=20
    ),
    st.integers(0, 2),
    st.integers(1, 3),
    st.integers(0, 5),
    st.integers(1, 4),
    st.booleans(),
)


class BlocksMachine(RuleBasedStateMachine):
    @initialize(policy=POLICIES)
    def begin(self, policy):
        self.now = 0.0
        self.machine = Blocks(policy)
        self.numbers = itertools.count()
        self.submitting: list = []
        self.taken: set = set()  # what the provider has
        self.managers: dict = {}
        self.cancelled: set = set()
        self.denied: set = set()  # what the provider said has ended, though no manager of it had been seen
        self.load = 0
        self.stopped = False

    def perform(self, effects):
        for effect in effects:
            match effect:
                case Submit(block_id=block_id):
                    assert not self.stopped
                    assert block_id not in self.taken
                    self.submitting.append(block_id)
                case Cancel(block_id=block_id):
                    assert block_id in self.taken, "what the provider does not have cannot be cancelled"
                    assert block_id not in self.cancelled, "cancelled twice"
                    self.cancelled.add(block_id)

    @rule(tasks=st.integers(0, 12), seconds=st.sampled_from([0.5, 5.0, 31.0, 61.0]))
    def tick(self, tasks, seconds):
        self.now += seconds
        self.load = tasks
        busy = frozenset(self.managers) if tasks else frozenset()
        self.perform(self.machine.tick(now=self.now))
        self.perform(self.machine.follow(Load(tasks, busy), now=self.now))

    @precondition(lambda self: self.submitting)
    @rule(accepted=st.booleans())
    def provider_answers(self, accepted):
        block_id = self.submitting.pop(0)
        if accepted:
            self.taken.add(block_id)
            self.perform(self.machine.submitted(block_id))
        else:
            self.perform(self.machine.failed(block_id, "no", now=self.now))

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), state=st.sampled_from(list(ProviderState)))
    def provider_says(self, data, state):
        block_id = data.draw(st.sampled_from(sorted(self.taken)))
        if state is ProviderState.ENDED:
            self.taken.discard(block_id)
            if self.machine.phase(block_id) is Phase.STARTING:
                self.denied.add(block_id)
        self.perform(self.machine.provider_says(block_id, state, "said", now=self.now))
        for manager_id in [
            name for name, block in self.managers.items() if block == block_id and state is ProviderState.ENDED
        ]:
            self.taken.add(block_id)  # only so that a late cancel may name it
            del self.managers[manager_id]
            self.perform(self.machine.manager_left(block_id, manager_id, now=self.now))
            self.machine.ended(block_id)
            self.taken.discard(block_id)

    @precondition(lambda self: self.cancelled)
    @rule()
    def cancel_is_done(self):
        block_id = self.cancelled.pop()
        self.taken.discard(block_id)
        for manager_id in [name for name, block in self.managers.items() if block == block_id]:
            del self.managers[manager_id]
        self.perform(self.machine.ended(block_id))

    @precondition(lambda self: self.taken)
    @rule(data=st.data())
    def manager_joins(self, data):
        block_id = data.draw(st.sampled_from(sorted(self.taken)))
        manager_id = ManagerId(f"m{next(self.numbers)}")
        ending = self.machine.phase(block_id) in {Phase.ENDING, None}
        self.managers[manager_id] = block_id
        self.perform(self.machine.manager_joined(block_id, manager_id))
        if not ending:
            assert self.machine.phase(block_id) is Phase.ACTIVE
            assert not self.machine.is_unhealthy

    @precondition(lambda self: self.denied)
    @rule(data=st.data())
    def the_provider_was_wrong(self, data):
        block_id = data.draw(st.sampled_from(sorted(self.denied)))
        self.denied.discard(block_id)
        self.taken.add(block_id)
        manager_id = ManagerId(f"m{next(self.numbers)}")
        self.managers[manager_id] = block_id
        self.perform(self.machine.manager_joined(block_id, manager_id))

    @precondition(lambda self: self.managers)
    @rule(data=st.data())
    def manager_leaves(self, data):
        manager_id = data.draw(st.sampled_from(sorted(self.managers)))
        block_id = self.managers.pop(manager_id)
        self.perform(self.machine.manager_left(block_id, manager_id, now=self.now))

    @precondition(lambda self: not self.stopped)
    @rule()
    def stop(self):
        if next(self.numbers) % 3 == 0:
            self.stopped = True
            self.perform(self.machine.stop())
            assert self.machine.count == 0

    @invariant()
    def never_more_than_allowed(self):
        if hasattr(self, "machine"):
            assert self.machine.count <= self.machine.policy.most

    @invariant()
    def health_has_a_reason(self):
        if hasattr(self, "machine"):
            assert self.machine.is_unhealthy == (self.machine.failures >= FAILURES_ALLOWED)
            assert bool(self.machine.failures) == bool(self.machine.reason)

    def teardown(self):
        """However it went, there are soon as many blocks as are needed: those that never join are given up, then replaced."""
        if not hasattr(self, "machine") or self.stopped:
            return
        policy = self.machine.policy
        for _ in ("given up", "replaced"):
            self.now += LONGEST_PAUSE + 1
            self.perform(self.machine.tick(now=self.now))
            self.perform(self.machine.follow(Load(1000 if policy.scales else 0), now=self.now))
        assert self.machine.count >= (policy.most if policy.scales else policy.least)


BlocksMachine.TestCase.settings = settings(
    max_examples=int(os.environ.get("SIMULATION_EXAMPLES", "100")), stateful_step_count=40, deadline=None
)
TestBlocks = BlocksMachine.TestCase
