"""A model card as the page shows it: Markdown as safe HTML, with the card's own figures and nobody else's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

from .. import hub

MAX_CARD = 100_000
"""Characters of a model card that are shown."""
FIGURE = re.compile(rf"{hub.FIGURES}/([a-z0-9_-]{{1,40}})\.png")
"""The address of a figure within a model's folder."""
# bounded repetitions: a hostile card of unclosed comments would otherwise take minutes
_COMMENT = re.compile(r"<!--.{,200}?-->", re.DOTALL)
_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def read_card(source: hub.ModelSource, name: str) -> str:
    """The Markdown of a model's card, without front matter and comments."""
    try:
        with source.path(hub.CARD).open(encoding="utf-8-sig", errors="replace") as file:
            text = file.read(MAX_CARD)
    except hub.HubError:
        return f"{name} comes without a model card."
    return _COMMENT.sub("", _FRONT_MATTER.sub("", text)).strip()


def to_html(markdown: str, number: int) -> str:
    """A card's Markdown as HTML; whatever is HTML in it shows as the text that it is.

    Args:
        markdown: the card, from anybody.
        number: the model's place among those on show, for the addresses of its figures.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("image", _image)
    parser.add_render_rule("link_open", _link)
    return parser.render(markdown, {"number": number})


def _image(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """A figure of the model's own folder; of any other image its text, since a browser would ask a stranger for it."""
    token = tokens[index]
    text = self.renderInlineAsText(token.children, options, env)
    own = FIGURE.fullmatch(str(token.attrs["src"]))
    if own is None:
        return f"<em>{escapeHtml(text)}</em>"
    source = f"card-figures/{env['number']}/{own[1]}.png"
    token.attrs = {"src": source, "alt": text, "loading": "lazy"}
    return self.renderToken(tokens, index, options, env)


def _link(self: RendererHTML, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """A link that opens in a window of its own and learns nothing of this one."""
    tokens[index].attrs.update({"target": "_blank", "rel": "noopener noreferrer nofollow"})
    return self.renderToken(tokens, index, options, env)
