"""The app as an MCP server: where it finds itself, and pictures that a client shows.

This is the one place that touches Gradio's MCP server, of which neither is documented:

- `_local_url`, the address at which the server calls its own endpoints. Where Gradio is mounted it stays None, and the
  server takes the Host header of its first visitor for that address.
- `postprocess_output_data`, which shows pictures that lie in Gradio's own folder alone; ours are data URLs.

Tried with Gradio 6.31 and mcp 1.30.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..serialization import PNG_HEADER


def prepare(server: Any, local_url: str) -> None:
    """Let an MCP server of Gradio's call itself at this address, and show pictures."""
    server._local_url = local_url
    show_pictures(server)


def show_pictures(server: Any) -> None:
    """Let an MCP server of Gradio's answer PNG data URLs as image content, one for each."""
    answer = server.postprocess_output_data

    def with_pictures(data: Any, root_url: str) -> list[Any]:
        contents = []
        for output in data:
            pictures = list(_pictures([output]))
            if pictures:
                contents += [
                    server.types.ImageContent(type="image", data=picture, mimeType="image/png") for picture in pictures
                ]
            else:
                contents += answer([output], root_url)
        return contents

    server.postprocess_output_data = with_pictures


def _pictures(output: Iterable[Any]) -> Iterator[str]:
    """The base64 of the PNG data URLs in a list, or in lists within it."""
    for value in output:
        if isinstance(value, str) and value.startswith(f"{PNG_HEADER},"):
            yield value.partition(",")[2]
        elif isinstance(value, list):
            yield from _pictures(value)
