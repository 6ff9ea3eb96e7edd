"""The page's own files, here and in the folders of the tabs (modules, styles, texts), and where browsers find them.

The address of a module changes with any of these files, so that browsers may keep them for good and never mix two
versions. An application with our routes serves them itself (`route`, `use_route`). Any other that holds the page, such
as `gr.Blocks` around it, serves a copy of them as Gradio's static files.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any

import gradio as gr
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

FOLDER = Path(__file__).parent.parent
TYPES = {".js": "text/javascript", ".json": "application/json"}
"""Kinds of files that browsers ask for, and their media types."""
NAMES = ("tab.draw", "tab.sliders", "tab.map", "tab.compare", "card")
"""Keys of the texts that Gradio shows: names of tabs and of the model card."""


@cache
def files() -> dict[str, bytes]:
    """Every file that browsers ask for, by its path under `FOLDER`, as it was when it was first asked for."""
    paths = sorted(path for path in FOLDER.rglob("*") if path.suffix in TYPES)
    return {path.relative_to(FOLDER).as_posix(): path.read_bytes() for path in paths}


@cache
def version() -> str:
    """A digest of `files`."""
    digest = hashlib.sha256()
    for path, content in files().items():
        digest.update(path.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()[:16]


def modules() -> list[str]:
    """The modules of all tabs, by their paths under `FOLDER`."""
    return [path for path in files() if path.endswith(".js")]


@cache
def strings() -> dict[str, dict[str, str]]:
    """The page's texts: language -> key -> text, one file of strings/ a language."""
    texts = {PurePosixPath(path): content for path, content in files().items() if path.startswith("page/strings/")}
    return {path.stem: json.loads(content) for path, content in texts.items()}


@cache
def names() -> gr.I18n:
    """The texts that Gradio shows. Their keys are in English, since Blocks around the page know no translation."""
    english = strings()["en"]
    return gr.I18n(**{spoken: {english[key]: texts[key] for key in NAMES} for spoken, texts in strings().items()})


def name(key: str) -> Any:
    """The text of a key of `NAMES`, in the visitor's language, as a label for Gradio."""
    return names()(strings()["en"][key])


def style() -> str:
    """The page's styles as an element of a document's head."""
    return f"<style>\n{(Path(__file__).parent / 'style.css').read_text(encoding='utf-8')}</style>"


@cache
def copied() -> str:
    """The address of a copy of the files under Gradio's own routes, relative to the app's.

    The copy has a folder of its own, since Gradio tells visitors the folder's path and serves all that is in it. It is
    there for the next start, too, and for other processes of the same user.
    """
    folder = _private_folder(Path(tempfile.gettempdir()).resolve())
    for path, content in files().items():
        copy = folder / path
        if not copy.is_file() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
    gr.set_static_paths(folder)
    return f"gradio_api/file={folder.as_posix()}"


def _private_folder(parent: Path) -> Path:
    """A folder for this version's files that no other user can write to."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = parent / f"hfvae-{user}-{version()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    own = user == "user" or (folder.lstat().st_uid == user and not folder.is_symlink())
    return folder if own else Path(tempfile.mkdtemp(prefix="hfvae-", dir=parent))


def route() -> Route:
    """Serves the files to browsers, which may keep them as long as they like."""

    async def serve(request: Request) -> Response:
        path = request.path_params["path"]
        if path not in files() or request.path_params["version"] != version():
            raise HTTPException(404)
        headers = {"Cache-Control": "max-age=31536000, immutable"}
        return Response(files()[path], headers=headers, media_type=TYPES[PurePosixPath(path).suffix])

    return Route("/modules/{version}/{path:path}", serve)


def use_route(demo: gr.Blocks) -> None:
    """Let the widgets of a page take their modules from `route`, which the application that serves it has."""
    for block in demo.blocks.values():
        if isinstance(block, gr.HTML) and "modules" in block.props:
            block.props.update(modules=f"modules/{version()}", routed=True)
