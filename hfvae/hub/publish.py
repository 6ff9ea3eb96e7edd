"""Push a folder to a hub: check everything, then send one commit. Knows no model class.

Nothing is created on the hub before all checks have passed.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import (
    CommitInfo,
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    ModelInfo,
    SpaceInfo,
    constants,
)
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, RepositoryNotFoundError
from huggingface_hub.utils import filter_repo_objects, validate_repo_id  # type: ignore[attr-defined]

from ..version import command
from .card import ModelFacts, validate_card, write_card
from .download import CLIENT, ModelSource
from .errors import PushError
from .layout import (
    CARD,
    EXPORT_RECORD,
    EXPORTS,
    FIGURES,
    FILES,
    LATENTS,
    MEASURED,
    METRICS,
    ONNX,
    WEIGHTS,
    read_text,
    sha256,
)
from .transfer import httpx

Answer = TypeVar("Answer")
_PAUSES = (1.0, 3.0)  # seconds between the attempts of a commit
_FIGURE = re.compile(rf"{FIGURES}/[^/]+\.png")


def prepare(folder: Path, repo_id: str, facts: ModelFacts, scratch: Path, *, evaluated: bool = True) -> dict[str, Path]:
    """Check a model folder and list what a push would send; the folder is not changed.

    Args:
        folder: a folder written by `save_pretrained` and `train/evaluate.py`.
        repo_id: repository to name on the card.
        facts: facts about the model for the card.
        scratch: an existing folder for that card.
        evaluated: require metrics of these weights.

    Returns:
        Path in the repository -> file.

    Raises:
        HubError: the folder cannot be published; the message says what to do.
    """
    source = ModelSource(folder)
    source.config()
    source.weights()
    if (folder / LATENTS).is_file():
        source.latents()  # codes of other weights are refused
    try:
        validate_card(read_text(folder / CARD))
    except (FileNotFoundError, UnicodeDecodeError, ValueError) as error:
        raise PushError(f"{folder / CARD}: {error}. Correct it, or delete it and evaluate the model again") from error
    if evaluated:
        _require_measured(folder / METRICS, f"{command('evaluate')} --model {folder}")
    if (folder / ONNX).is_dir():
        _require_measured(folder / ONNX / EXPORT_RECORD, f"{command('export')} --model {folder}")
    write_card(folder, facts, repo_id, output=scratch / CARD)
    patterns = (*FILES, *EXPORTS, f"{FIGURES}/*.png")
    files = {path.relative_to(folder).as_posix(): path for pattern in patterns for path in sorted(folder.glob(pattern))}
    return files | {CARD: scratch / CARD}


def full_repo_id(repo_id: str, token: str | bool | None = None) -> str:
    """Add the logged-in user's namespace to a bare name.

    Raises:
        PushError: not a valid name, or nobody is logged in.
    """
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise PushError(f"{repo_id!r} is no repository name like user/name: {error}. Nothing was sent") from error
    if "/" in repo_id:
        return repo_id
    user = _call_api(repo_id, "nothing was sent", lambda: HfApi(token=token, **CLIENT).whoami())
    return f"{user['name']}/{repo_id}"


def check_push(
    repo_id: str,
    *,
    repo_type: str = "model",
    private: bool | None = None,
    tag: str | None = None,
    token: str | bool | None = None,
) -> bool:
    """Check whether a push may go through, without changing anything on the hub.

    Args:
        repo_id: ``user/name``.
        repo_type: ``"model"`` or ``"space"`` (a Gradio one).
        private: True or False must match an existing repository; None accepts either and makes new ones public.
        tag: a tag that must not exist yet.
        token: None uses ``$HF_TOKEN`` or the token of ``hf auth login``.

    Returns:
        Whether the repository exists.

    Raises:
        PushError: the repository has another visibility or this tag, would be created in somebody else's namespace, or
            there is no token.
    """
    api = HfApi(token=token, **CLIENT)
    found = _call_api(repo_id, "nothing was sent", lambda: _existing(api, repo_id, repo_type))
    if found is None:
        user = _call_api(repo_id, "nothing was sent", api.whoami)
        owners = [user["name"], *(organization["name"] for organization in user.get("orgs", ()))]
        if repo_id.split("/")[0] not in owners:
            raise PushError(
                f"{repo_id} does not exist, and this token may create repositories of {', '.join(owners)} only: "
                "check the name. Nothing was sent"
            )
        return False
    if private is not None and bool(found.private) != private:
        is_, wanted = ("private", "public") if found.private else ("public", "private")
        raise PushError(
            f"{repo_id} exists and is {is_}, but {wanted} was asked for: change it in its settings on the hub, "
            "or push under another name. Nothing was sent"
        )
    if tag is not None:
        refs = _call_api(repo_id, "nothing was sent", lambda: api.list_repo_refs(repo_id, repo_type=repo_type))
        if tag in {ref.name for ref in refs.tags}:
            raise PushError(f"{repo_id} has a tag {tag} already: choose another one. Nothing was sent")
    return True


def push(
    files: Mapping[str, Path],
    repo_id: str,
    *,
    message: str,
    repo_type: str = "model",
    private: bool | None = None,
    revision: str | None = None,
    tag: str | None = None,
    token: str | bool | None = None,
    create_pr: bool = False,
    delete_patterns: str | list[str] | None = None,
    variables: Mapping[str, str] | None = None,
) -> CommitInfo:
    """Send files to a repository in one commit; create the repository, branch and tag if they are missing.

    The same commit deletes metrics, figures and exports of earlier weights that are not among `files`.

    Args:
        files: path in the repository -> local file; all must exist.
        repo_id: ``user/name``, or a bare name in the logged-in user's namespace.
        message: commit message.
        repo_type, private: as in `check_push`.
        revision: branch to commit to; None is main.
        tag: a tag to put on the commit.
        token: None uses ``$HF_TOKEN`` or the token of ``hf auth login``.
        create_pr: open a pull request instead of committing.
        delete_patterns: delete matching files of the repository, except those sent.
        variables: environment variables of a Space.

    Returns:
        The commit, or the current one if nothing changed; `pr_url` is the address of the pull request.

    Raises:
        PushError: bad names, no token, no write access, no answer.
    """
    repo_id, api = full_repo_id(repo_id, token), HfApi(token=token, **CLIENT)
    exists = check_push(repo_id, repo_type=repo_type, private=private, tag=tag, token=token)
    so_far = "nothing was sent" if exists else _create(api, repo_id, repo_type, private)
    for name, value in (variables or {}).items():
        _call_api(repo_id, so_far, partial(api.add_space_variable, repo_id, name, value))
    if revision is not None:
        create_branch = partial(api.create_branch, repo_id, branch=revision, repo_type=repo_type, exist_ok=True)
        _call_api(repo_id, so_far, create_branch)
    held = _call_api(repo_id, so_far, partial(api.list_repo_files, repo_id, revision=revision, repo_type=repo_type))
    removable = _removable(held, repo_type, delete_patterns)

    def commit_once() -> CommitInfo:
        operations = _operations(files, sorted(removable - set(files)))
        where: dict[str, Any] = {"repo_type": repo_type, "revision": revision, "create_pr": create_pr}
        return api.create_commit(repo_id, operations, commit_message=message, **where)

    doubt = "the files may or may not have arrived; run the same command again, it sends only what differs"
    commit = _call_api(repo_id, doubt, lambda: _retry(commit_once))
    if tag is not None:
        state = f"the files have arrived as commit {commit.oid}, without the tag"
        _call_api(repo_id, state, partial(api.create_tag, repo_id, tag=tag, revision=commit.oid, repo_type=repo_type))
    return commit


def _create(api: HfApi, repo_id: str, repo_type: str, private: bool | None) -> str:
    """Create a repository; return what to say if a later step fails."""
    sdk = "gradio" if repo_type == "space" else None
    create = partial(api.create_repo, repo_id, repo_type=repo_type, space_sdk=sdk, private=private, exist_ok=True)
    _call_api(repo_id, "nothing was sent", create)
    return "the repository was created, and nothing was sent to it"


def _removable(held: Sequence[str], repo_type: str, patterns: str | list[str] | None) -> set[str]:
    """Files of a repository that belong to the old weights or match `patterns`."""
    bound = [name for name in held if name in (*MEASURED, *EXPORTS) or _FIGURE.fullmatch(name)]
    asked = filter_repo_objects(held, allow_patterns=patterns) if patterns else []
    return {*(bound if repo_type == "model" else []), *asked}


def _operations(files: Mapping[str, Path], stale: Sequence[str]) -> list[CommitOperationAdd | CommitOperationDelete]:
    """New operations for a commit: used ones remember the state of the repository."""
    added = [CommitOperationAdd(path_in_repo=name, path_or_fileobj=path) for name, path in files.items()]
    return [*added, *(CommitOperationDelete(path_in_repo=name) for name in stale)]


def _existing(api: HfApi, repo_id: str, repo_type: str) -> ModelInfo | SpaceInfo | None:
    """Information about a repository; None if this token sees none."""
    try:
        return api.repo_info(repo_id, repo_type=repo_type)  # type: ignore[return-value]
    except RepositoryNotFoundError:
        return None


def _call_api(repo_id: str, state: str, call: Callable[[], Answer]) -> Answer:
    """Call the API; a failure becomes a PushError that says what was already sent. Tokens are never shown."""
    try:
        return call()
    except LocalTokenNotFoundError as error:
        raise PushError("no token: log in (hf auth login) or set HF_TOKEN; nothing was sent") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 401:
            reason = "the hub does not accept the token, or there is none: log in (hf auth login) or set HF_TOKEN"
        elif status == 403:
            reason = "this token may not write there: check the name, and that the token has write access"
        else:
            reason = f"the hub answered {status}: {error.server_message or 'try again later'}"
    except (httpx.HTTPError, OSError) as error:
        reason = f"{constants.ENDPOINT} cannot be reached or broke off ({type(error).__name__}: {error})"
    except json.JSONDecodeError as error:
        reason = f"{constants.ENDPOINT} gave an answer that is not the hub's ({error}); check HF_ENDPOINT"
    raise PushError(f"{repo_id}: {reason}; {state}")


def _retry(commit: Callable[[], Answer]) -> Answer:
    """Try a commit up to three times; if only the answer was lost, the next try changes nothing."""
    for pause in _PAUSES:
        try:
            return commit()
        except httpx.TransportError:
            time.sleep(pause)
        except HfHubHTTPError as error:
            if error.response.status_code < 500:
                raise
            time.sleep(pause)
    return commit()


def _require_measured(path: Path, command: str) -> None:
    """Require a record that was made by `command` for the weights beside it."""
    folder = path.parent if path.name == METRICS else path.parent.parent
    if not path.is_file():
        raise PushError(f"{folder} has no {path.relative_to(folder)}, without which nobody can trust it: run {command}")
    try:
        measured = json.loads(read_text(path))["weights_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise PushError(f"{path} is not what {command} writes ({error!r}): run it again") from error
    if measured != sha256(folder / WEIGHTS):
        raise PushError(f"{path} is of other weights than {folder / WEIGHTS}: run {command}")
