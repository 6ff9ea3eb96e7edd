"""The page: a model picker above the tabs, which share one model and one latent point."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from .. import hub
from . import api
from .decoder import decode, weights
from .draw import digits, posterior, reconstruct
from .latent_map import atlas
from .page import Page
from .session import Session
from .sliders import animation
from .widget import widget

POINT = [decode, weights, atlas]
"""What every widget needs to show the shared latent point."""


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
    with Page("hfvae") as demo:
        widget("header", session, POINT)
        with gr.Tabs():
            with gr.Tab("Draw"):
                widget("draw", session, [*POINT, reconstruct, posterior, digits])
            with gr.Tab("Sliders"):
                widget("sliders", session, POINT)
                widget("morph", session, [*POINT, animation])
                widget("prior", session, POINT)
            with gr.Tab("Latent map"):
                widget("map", session, POINT)
        with gr.Accordion("Model card", open=False, elem_id="card"):
            for number, exhibit in enumerate(session.exhibits.values()):
                gr.Markdown(exhibit.card, elem_id=f"card-{number}", header_links=False)
        api.publish(session)
    return demo
