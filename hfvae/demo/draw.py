"""The Draw tab: a pad, what the model sees of the drawing, and what it makes of it."""

from __future__ import annotations

import gradio as gr

from .session import Session
from .widget import widget


def build(session: Session) -> gr.HTML:
    return widget("draw", session, [session.reconstruct])
