"""The Gradio app. `blocks` joins it; `session` holds the models, `page` serves, and each tab has its functions' module."""

from .blocks import build_demo

__all__ = ["build_demo"]
