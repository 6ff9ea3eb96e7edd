"""The Gradio app: `session` holds the models, `page` serves, each tab has a module of functions, `blocks` joins all."""

from .blocks import build_demo

__all__ = ["build_demo"]
