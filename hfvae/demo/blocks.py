"""The page: a model picker above the tabs, which share one model and one latent point."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from .. import hub
from . import api, page
from .cards import to_html
from .draw.draw import class_examples, exact_posterior, posterior, reconstruct
from .latent_map.atlas import atlas
from .page.decoding import decode
from .registry import ModelRegistry
from .server import App
from .sliders.morph import animation
from .sliders.prior import base_path, class_draws, draws
from .widget import widget
from .zero_gpu import declare_gpu_function, on_zero_gpu

SHARED = [decode, atlas]
"""What every widget needs to show the shared latent point."""


def build_demo(models: Sequence[str] | None = None, device: str = "auto") -> App:
    """The app, ready to launch.

    Args:
        models: folders, bundled names or repo ids; None takes the bundled models.
        device: auto (CUDA where there is one, but for the hub's ZeroGPU), cpu or cuda.

    Raises:
        ValueError: a device that is not there.
        hub.HubError: there is no model at all. A single model that cannot be loaded costs a message in the page.
    """
    if on_zero_gpu():
        declare_gpu_function()
        device = "cpu"
    registry = ModelRegistry(hub.bundled_names() if models is None else models, device)
    with App("hfvae", registry) as demo:
        widget("header/header", registry, SHARED, first=True)
        with gr.Tabs():
            with gr.Tab(page.name("tab.draw"), id="draw", elem_id="draw-tab"):
                functions = [*SHARED, reconstruct, posterior, class_examples]
                widget("draw/draw", registry, functions)
                widget("draw/explain", registry, SHARED)
            with gr.Tab(page.name("tab.sliders"), id="sliders", elem_id="sliders-tab"):
                widget("sliders/sliders", registry, [*SHARED, draws])
                widget("sliders/prior", registry, [*SHARED, draws, class_draws])
                widget("sliders/morph", registry, [*SHARED, animation, base_path])
            with gr.Tab(page.name("tab.map"), id="map", elem_id="map-tab"):
                widget("latent_map/map", registry, [*SHARED, exact_posterior])
            with gr.Tab(page.name("tab.compare"), id="compare", elem_id="compare-tab"):
                widget("compare/compare", registry, [*SHARED, reconstruct, draws])
        with gr.Accordion(page.name("card"), open=False, elem_id="card"):
            for number, model in enumerate(registry.models.values()):
                gr.HTML(to_html(model.card, number), elem_id=f"card-{number}", elem_classes=["prose"])
        api.publish(registry)
    return demo
