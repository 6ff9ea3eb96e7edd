"""The Gradio app.

`registry` holds the loaded models, `server` serves, each folder is a tab with its Python, HTML and JavaScript, `shared`
is what several tabs need, `api` has the named endpoints for programs, and `blocks` puts everything on the page.
"""

from .blocks import build_demo

__all__ = ["build_demo"]
