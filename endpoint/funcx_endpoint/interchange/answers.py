"""What the agent answers to programs of its owner, see `funcx_endpoint.control`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from funcx_core.errors import UsageError
from funcx_core.ids import BlockId
from funcx_core.protocol.endpoint import EndpointStatus
from funcx_endpoint.blocks.process import BlockRunner
from funcx_endpoint.blocks.records import Phase
from funcx_endpoint.control.messages import (
    Answer,
    AskBlocks,
    AskManagers,
    AskQueue,
    AskStatus,
    Blocks,
    Hold,
    Managers,
    Question,
    Queue,
    ScaleIn,
    ScaleOut,
    Told,
)
from funcx_endpoint.interchange.breakdown import get_status_report, manager_report, queue_report
from funcx_endpoint.interchange.effects import Effect
from funcx_endpoint.interchange.state import Interchange


class Answers:
    """Answers one question after the other, on the agent's loop."""

    def __init__(
        self,
        blocks: BlockRunner,
        interchange: Interchange,
        *,
        status: Callable[[], EndpointStatus],
        perform: Callable[[Iterable[Effect]], None],
    ) -> None:
        self._blocks = blocks
        self._interchange = interchange
        self._status = status
        self._perform = perform

    def answer(self, question: Question) -> Answer:  # noqa: PLR0911 - one return for each question
        """Return the answer. A refusal is raised as a `FuncxError`."""
        match question:
            case AskStatus():
                return Told(self._status())
            case AskBlocks():
                return self._states(self._blocks.state.block_ids)
            case AskManagers():
                return Managers(get_status_report(self._interchange))
            case AskQueue():
                return Queue(queue_report(self._interchange))
            case Hold(manager_id=manager_id, hold=hold):
                return self._held(manager_id, hold=hold)
            case ScaleOut(number=number):
                return self._scaled_out(number)
            case ScaleIn(number=number, block_ids=block_ids):
                return self._scaled_in(number, block_ids)

    def _held(self, manager_id: str, *, hold: bool) -> Managers:
        records = {str(record.manager_id): record for record in self._interchange.managers}
        if manager_id not in records:
            raise UsageError(f"There is no manager {manager_id}. There are: {', '.join(records) or 'none'}.")
        record = records[manager_id]
        self._perform(self._interchange.hold_manager(record.manager_id, hold=hold))
        return Managers([manager_report(record, self._interchange.now)])

    def _scaled_out(self, number: int) -> Blocks:
        if number < 1:
            raise UsageError(f"{number} more blocks were asked for; it must be 1 or more.")
        before = set(self._blocks.state.block_ids)
        self._blocks.scale_out(number)
        return self._states([block_id for block_id in self._blocks.state.block_ids if block_id not in before])

    def _scaled_in(self, number: int, block_ids: list[str]) -> Blocks:
        state = self._blocks.state
        unknown = sorted(set(block_ids) - {*map(str, state.block_ids)})
        if unknown:
            raise UsageError(
                f"There is no block {', '.join(unknown)}. There are: {', '.join(state.block_ids) or 'none'}."
            )
        before = {block_id for block_id in state.block_ids if state.phase(block_id) is not Phase.ENDING}
        self._blocks.scale_in(number, block_ids=block_ids)
        ending = [block_id for block_id in before if state.phase(block_id) in {Phase.ENDING, None}]
        return Blocks(dict.fromkeys(sorted(ending), Phase.ENDING.value))

    def _states(self, block_ids: list[BlockId]) -> Blocks:
        phases = {block_id: self._blocks.state.phase(block_id) for block_id in block_ids}
        return Blocks({block_id: phase.value for block_id, phase in phases.items() if phase is not None})
