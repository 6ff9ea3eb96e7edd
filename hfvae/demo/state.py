"""Gradio's states of sessions, for an app that keeps none: the page's state lives in the page."""

from __future__ import annotations

from typing import Any

from gradio import Blocks
from gradio.state_holder import SessionState, StateHolder


class SharedState(SessionState):
    """A state that never changes. Gradio's own keeps the last answer of each function, a megabyte a session."""

    def _update_value_in_config(self, key: int, value: Any) -> None:
        pass


class SharedStates(StateHolder):
    """One state for all sessions, since creating a state takes about 5 ms."""

    def __init__(self, blocks: Blocks) -> None:
        super().__init__()
        self.set_blocks(blocks)

    def set_blocks(self, blocks: Blocks) -> None:
        """Gradio calls it again when it reloads a changed app."""
        super().set_blocks(blocks)
        self.shared = SharedState(blocks)

    def __getitem__(self, session_id: str) -> SessionState:
        return self.shared
