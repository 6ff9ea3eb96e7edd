"""The Gradio app.

`registry` holds the loaded models, each folder is a tab with its Python, HTML and JavaScript, `page` is what several
tabs need, `api` has the named endpoints for programs, `blocks` puts everything on the page, and `serving` serves it.
"""

from .blocks import build_demo
from .serving import application, mount

__all__ = ["application", "build_demo", "mount"]
