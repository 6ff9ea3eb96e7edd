"""The Gradio app: `session` does the work, one module per tab shows it, `blocks` joins them."""

from .blocks import build_demo

__all__ = ["build_demo"]
