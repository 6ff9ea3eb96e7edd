"""MCP answers whose pictures a client shows.

This is the one place that touches Gradio's MCP server: `postprocess_output_data`, which is not documented, shows
pictures that lie in Gradio's own folder alone, and ours are data URLs. Tried with Gradio 6.31.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ..serialization import PNG_HEADER


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
