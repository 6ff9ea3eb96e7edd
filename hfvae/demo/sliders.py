"""The Sliders tab: one slider a latent, the most active first, and the image they make."""

from __future__ import annotations

import gradio as gr

from .session import Session
from .widget import widget


def build(session: Session) -> gr.HTML:
    return widget("sliders", session, [session.decode])
