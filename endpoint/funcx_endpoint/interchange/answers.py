"""What the agent answers to programs of its owner, see `funcx_endpoint.control`."""

from __future__ import annotations

from collections.abc import Callable

from funcx_core.ids import BlockId
from funcx_core.protocol.endpoint import EndpointStatus
from funcx_endpoint.blocks.process import BlockRunner
from funcx_endpoint.control.messages import Answer, AskBlocks, AskStatus, Blocks, Question, Told


class Answers:
    """Answers one question after the other, on the agent's loop."""

    def __init__(self, blocks: BlockRunner, status: Callable[[], EndpointStatus]) -> None:
        self._blocks = blocks
        self._status = status

    def answer(self, question: Question) -> Answer:
        """Return the answer. A refusal is raised as a `FuncxError`."""
        match question:
            case AskStatus():
                return Told(self._status())
            case AskBlocks():
                return self._states(self._blocks.state.block_ids)

    def _states(self, block_ids: list[BlockId]) -> Blocks:
        phases = {block_id: self._blocks.state.phase(block_id) for block_id in block_ids}
        return Blocks({block_id: phase.value for block_id, phase in phases.items() if phase is not None})
