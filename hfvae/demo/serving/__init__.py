"""How the app is served: one ASGI application around Gradio, its limits, and the server that runs it."""

from .application import application, mount

__all__ = ["application", "mount"]
