"""The page: a model picker above three tabs that share one model and one latent point."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from .. import hub
from . import draw, latent_map, sliders
from .session import Session
from .widget import widget


def build_demo(models: Sequence[str] | None = None, device: str = "auto") -> gr.Blocks:
    """The app, ready to launch.

    Args:
        models: folders, bundled names or repo ids; None takes the bundled models.
        device: auto (CUDA where there is one), cpu or cuda.

    Raises:
        ValueError: a device that is not there.
        hub.HubError: there is no model at all. A model that cannot be had costs a message in the page.
    """
    session = Session(hub.bundled_names() if models is None else models, device)
    with gr.Blocks(title="hfvae", analytics_enabled=False) as demo:
        widget("header", session)
        with gr.Tabs():
            with gr.Tab("Draw"):
                draw.build(session)
            with gr.Tab("Sliders"):
                sliders.build(session)
            with gr.Tab("Latent map"):
                latent_map.build(session)
    return demo
