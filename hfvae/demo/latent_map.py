"""The Latent map tab: the encoded test set by class; the point under the pointer is decoded."""

from __future__ import annotations

import gradio as gr

from .session import Session
from .widget import widget


def build(session: Session) -> gr.HTML:
    return widget("map", session, [session.codes, session.decode])
