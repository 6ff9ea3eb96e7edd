"""A hub on the loopback: an HTTP server that huggingface_hub talks to as if it were the Hugging Face hub.

It speaks, for models and spaces whose ids read ``user/name``: creating repositories, their settings and info, commits
(files added and deleted) on any branch, creating branches and tags, listing refs and trees, ``whoami``, and downloads
(HEAD and GET of ``resolve``, with ranges). Private and gated repositories are open to their owner alone. Every file is
"regular", that is, travels inside the commit.

It does not speak LFS, Xet, datasets, pull requests, discussions, organizations, deleting or moving repositories and
refs, search, pagination, redirects or compression, and takes any card for valid. What it does not know it answers with
501. Refusals carry the status and the ``X-Error-Code`` by which huggingface_hub tells them apart.

Repositories live in memory. Faults are ordered per request and wear off::

    with HubServer() as hub:
        hub.put("user/name", {"config.json": "{}"})
        hub.fail("GET .*config.json", Fault(cut_off=1), times=2)
        subprocess.run([sys.executable, "client.py"], env=hub.env(tmp_path))
        assert hub.requests[-1] == "GET /user/name/resolve/main/config.json"
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from huggingface_hub import constants


@dataclass(frozen=True)
class Fault:
    """What befalls a request; the defaults let it pass.

    Attributes:
        slow: seconds that it waits first.
        status: it is refused with this status instead of being carried out.
        retry_after, error_code: what the refusal's headers Retry-After and X-Error-Code say.
        html: a web page comes back, with status 200, instead of its being carried out.
        lost: it is carried out, but the connection is closed without an answer.
        cut_off: the connection is closed after so many bytes of the body, whatever length was announced.
        resized: the body is so many bytes longer, or shorter if negative, and announced so; thus GET belies HEAD.
        flipped_bit: one bit in the middle of the body is flipped.
        announced: the length that the headers claim, whatever the body's.
        pace: bytes of the body a second.
        headers: headers that replace those of the answer.
    """

    slow: float = 0.0
    status: int = 0
    retry_after: int | None = None
    error_code: str = ""
    html: bool = False
    lost: bool = False
    cut_off: int | None = None
    resized: int = 0
    flipped_bit: bool = False
    announced: int | None = None
    pace: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Commit:
    """A snapshot of all files; `parent` is the id of the commit before it."""

    id: str
    parent: str | None
    title: str
    files: Mapping[str, bytes]


@dataclass
class Repo:
    """A repository: commits by id, and the branches and tags that name some of them."""

    id: str
    repo_type: str = "model"
    private: bool = False
    gated: bool = False
    sdk: str | None = None
    history: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        attributes = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
        self.commit({".gitattributes": attributes}, "main", "initial commit")

    @property
    def owner(self) -> str:
        return self.id.split("/")[0]

    @property
    def path(self) -> str:
        """Where the repository lies under the hub's address."""
        return _path(self.id, self.repo_type)

    def at(self, revision: str) -> Commit:
        """The commit that a branch, a tag or a full commit id names."""
        name = self.branches.get(revision) or self.tags.get(revision) or revision
        if name not in self.history:
            raise _Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return self.history[name]

    def commit(self, files: Mapping[str, bytes], branch: str, title: str) -> Commit:
        """Make `files` the whole contents of a branch."""
        parent = self.branches.get(branch)
        names = [f"{path} {_blob_id(data)}" for path, data in sorted(files.items())]
        # With the contents in the id, no two servers in one cache can mean different files by the same commit.
        text = "\n".join([str(len(self.history)), self.path, title, str(parent), *names])
        new = Commit(hashlib.sha1(text.encode()).hexdigest(), parent, title, dict(files))
        self.history[new.id] = new
        self.branches[branch] = new.id
        return new


def _path(repo_id: str, repo_type: str) -> str:
    return repo_id if repo_type == "model" else f"{repo_type}s/{repo_id}"


def _blob_id(data: bytes) -> str:
    """Git's id for a file, which the client takes for its ETag and compares with its own."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


# Requests and answers


@dataclass(frozen=True)
class _Request:
    method: str
    target: str
    headers: Message
    body: bytes

    @property
    def line(self) -> str:
        """The method and the path, decoded and without the query."""
        return f"{self.method} {unquote(urlsplit(self.target).path)}"

    @property
    def segments(self) -> list[str]:
        # Split first, unquote then: a slash inside a branch or a path comes as %2F.
        return [unquote(segment) for segment in urlsplit(self.target).path.split("/")[1:]]

    def asks(self, name: str) -> bool:
        """Whether the query sets `name`."""
        return parse_qs(urlsplit(self.target).query).get(name, ["false"])[0].lower() in ("1", "true")

    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


@dataclass(frozen=True)
class _Answer:
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    announced: int | None = None
    pace: float | None = None


class _Refusal(Exception):
    def __init__(self, status: int, message: str, error_code: str = "", **extra: str) -> None:
        super().__init__(message)
        headers = {"X-Error-Message": message.encode("ascii", "replace").decode(), "X-Error-Code": error_code}
        self.answer = replace(_json({"error": message, **extra}, status), headers=headers)


def _json(value: object, status: int = 200) -> _Answer:
    return _Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json; charset=utf-8"})


_INVALID_TOKEN = "Invalid credentials in Authorization header"  # the client looks for these very words
_NO_TOKEN = "Invalid username or password."


# The server


class HubServer:
    """The hub, up and listening from its construction until `close`.

    Args:
        tokens: the user names by access token.

    Attributes:
        url: the address, for HF_ENDPOINT.
        requests: "METHOD /path" of all requests so far, including those that met a fault.
        agents: what their headers User-Agent said.
    """

    def __init__(self, tokens: Mapping[str, str] | None = None) -> None:
        self.tokens = dict(tokens or {"hf_user": "user"})
        self.requests: list[str] = []
        self.agents: list[str] = []
        self._repos: dict[str, Repo] = {}
        self._faults: list[tuple[re.Pattern[str], Fault, int | None]] = []
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def __enter__(self) -> HubServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop at once, hanging up on whoever is still connected."""
        self._closed.set()
        self._server.shutdown()
        self._server.hang_up()
        self._server.server_close()
        self._thread.join()

    def env(self, home: Path, token: str | None = None) -> dict[str, str]:
        """Environment variables for a client process: this hub, its own cache under `home`, and `token` if any."""
        ours = {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
        }
        rest = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        return {**rest, **ours, **({"HF_TOKEN": token} if token else {})}

    def serve_here(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        """Let this process's huggingface_hub, which has read its environment already, talk to this hub."""
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr(constants, "ENDPOINT", self.url)
        template = self.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))

    # What tests prepare and look at

    def add_repo(self, repo_id: str, *, private: bool = False, gated: bool = False, repo_type: str = "model") -> Repo:
        """Add a repository with its initial commit, which holds only a .gitattributes."""
        with self._lock:
            repo = Repo(repo_id, repo_type, private, gated)
            self._repos[repo.path] = repo
            return repo

    def repo(self, repo_id: str, *, repo_type: str = "model") -> Repo:
        """The repository, whose branches, tags, privacy may be looked at and set."""
        return self._repos[_path(repo_id, repo_type)]

    def put(
        self, repo_id: str, files: Mapping[str, bytes | str], *, branch: str = "main", repo_type: str = "model"
    ) -> str:
        """Add files to a branch in one commit, whose id is returned; make the repository and the branch if need be."""
        with self._lock:
            repo = self._repos.get(_path(repo_id, repo_type)) or self.add_repo(repo_id, repo_type=repo_type)
            data = {name: value.encode() if isinstance(value, str) else value for name, value in files.items()}
            before = repo.at(branch if branch in repo.branches else "main")
            return repo.commit({**before.files, **data}, branch, "put").id

    def files(self, repo_id: str, revision: str = "main", *, repo_type: str = "model") -> dict[str, bytes]:
        """The contents of all files at a revision."""
        with self._lock:
            return dict(self.repo(repo_id, repo_type=repo_type).at(revision).files)

    def commits(self, repo_id: str, revision: str = "main", *, repo_type: str = "model") -> list[Commit]:
        """The commits up to a revision, the newest first."""
        with self._lock:
            repo = self.repo(repo_id, repo_type=repo_type)
            commits = [repo.at(revision)]
            while (parent := commits[-1].parent) is not None:
                commits.append(repo.history[parent])
            return commits

    def fail(self, pattern: str, fault: Fault | int, *, times: int | None = 1) -> None:
        """Let requests go wrong whose "METHOD /path" `pattern` matches from the start, `times` times or for ever.

        An int stands for that status. One request meets one fault: the earliest ordered that has not worn off.
        """
        with self._lock:
            fault = Fault(status=fault) if isinstance(fault, int) else fault
            self._faults.append((re.compile(pattern), fault, times))

    def heal(self) -> None:
        """Call off all faults."""
        with self._lock:
            self._faults.clear()

    # What requests meet

    def _meet(self, request: _Request) -> _Answer | None:
        """The answer to a request after whatever fault befalls it; None hangs up."""
        with self._lock:
            self.requests.append(request.line)
            self.agents.append(request.headers.get("User-Agent", ""))
            fault = self._next_fault(request.line)
        self._closed.wait(fault.slow)
        if self._closed.is_set():
            return None
        if fault.status:
            answer = _Refusal(fault.status, "Failed on purpose", fault.error_code).answer
            retry = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            return replace(answer, headers={**answer.headers, **retry, **fault.headers})
        if fault.html:
            return _Answer(200, b"<!doctype html><html><body>Sign in</body></html>", {"Content-Type": "text/html"})
        answer = self._carry_out(request)
        if fault.lost:
            return None
        length = max(0, len(answer.body) + fault.resized)
        body = bytearray(answer.body.ljust(length, b"\0")[:length])
        if fault.flipped_bit and body:
            body[len(body) // 2] ^= 1
        return replace(
            answer,
            body=bytes(body),
            headers={**answer.headers, **fault.headers},
            cut=fault.cut_off,
            announced=fault.announced,
            pace=fault.pace,
        )

    def _next_fault(self, line: str) -> Fault:
        for index, (pattern, fault, times) in enumerate(self._faults):
            if pattern.match(line) and times != 0:
                self._faults[index] = (pattern, fault, None if times is None else times - 1)
                return fault
        return Fault()

    def _carry_out(self, request: _Request) -> _Answer:
        try:
            with self._lock:
                return self._route(request, self._user(request))
        except _Refusal as refusal:
            return refusal.answer

    def _route(self, request: _Request, user: str | None) -> _Answer:
        match [request.method, *request.segments]:
            case ["GET", "api", "agent-harnesses"]:
                return _json({"standardEnvVars": [], "harnesses": {}})
            case ["GET", "api", "whoami-v2"]:
                if user is None:
                    raise _Refusal(401, _NO_TOKEN)
                token = {"type": "access_token", "accessToken": {"displayName": "test", "role": "write"}}
                return _json({"type": "user", "id": user, "name": user, "fullname": user, "orgs": [], "auth": token})
            case ["POST", "api", "validate-yaml"]:
                warnings = [] if request.json()["content"].startswith("---\n") else ["empty or missing yaml metadata"]
                return _json({"errors": [], "warnings": [{"message": warning} for warning in warnings]})
            case ["POST", "api", "repos", "create"]:
                return self._create(request.json(), user)
            case ["GET", "api", "models" | "spaces" as kind, owner, name, *rest]:
                return self._read(self._find(kind, owner, name, user), request, rest)
            case ["POST" | "PUT", "api", "models" | "spaces" as kind, owner, name, action, *rest]:
                repo = self._find(kind, owner, name, user)
                self._require_owner(repo.owner, user)
                return self._write(repo, request, action, rest)
            case ["HEAD" | "GET", "spaces", owner, name, "resolve", revision, *path]:
                return self._resolve(self._find("spaces", owner, name, user), revision, "/".join(path), request, user)
            case ["HEAD" | "GET", owner, name, "resolve", revision, *path]:
                return self._resolve(self._find("models", owner, name, user), revision, "/".join(path), request, user)
        raise _unknown(request)

    def _user(self, request: _Request) -> str | None:
        credentials = request.headers.get("Authorization")
        if credentials is None:
            return None
        user = self.tokens.get(credentials.removeprefix("Bearer "))
        if user is None:
            raise _Refusal(401, _INVALID_TOKEN)
        return user

    def _find(self, kind: str, owner: str, name: str, user: str | None) -> Repo:
        repo = self._repos.get(_path(f"{owner}/{name}", kind.removesuffix("s")))
        if repo is None or (repo.private and user != repo.owner):  # to strangers, a private one does not exist
            refusal = (401, _NO_TOKEN) if user is None else (404, "Repository not found")
            raise _Refusal(*refusal, "RepoNotFound")
        return repo

    def _require_owner(self, owner: str, user: str | None) -> None:
        if user is None:
            raise _Refusal(401, _NO_TOKEN)
        if user != owner:
            raise _Refusal(403, f"You don't have the rights to write in the namespace {owner}")

    def _create(self, wanted: dict[str, Any], user: str | None) -> _Answer:
        owner = wanted.get("organization") or user
        self._require_owner(owner or "", user)
        repo_type = wanted.get("type", "model")
        if repo_type not in ("model", "space"):
            raise _Refusal(501, f"This hub has no {repo_type}s")
        repo = Repo(f"{owner}/{wanted['name']}", repo_type, _is_private(wanted), sdk=wanted.get("sdk"))
        url = f"{self.url}/{repo.path}"
        if repo.path in self._repos:
            raise _Refusal(409, f"You already created this {repo_type} repo", url=url)
        self._repos[repo.path] = repo
        return _json({"url": url, "id": repo.id, "name": repo.id, "private": repo.private})

    def _read(self, repo: Repo, request: _Request, rest: list[str]) -> _Answer:
        match rest:
            case []:
                return _json(_info(repo, repo.at("main"), request.asks("blobs")))
            case ["revision", revision]:
                return _json(_info(repo, repo.at(revision), request.asks("blobs")))
            case ["tree", revision, *folder]:
                return _json(_tree(repo.at(revision), "/".join(folder), request.asks("recursive")))
            case ["refs"]:
                branches, tags = _refs("heads", repo.branches), _refs("tags", repo.tags)
                return _json({"branches": branches, "tags": tags, "converts": [], "pullRequests": []})
        raise _unknown(request)

    def _write(self, repo: Repo, request: _Request, action: str, rest: list[str]) -> _Answer:
        match [request.method, action, *rest]:
            case ["PUT", "settings"]:
                wanted = request.json()
                repo.private = _is_private(wanted) if "visibility" in wanted else repo.private
                repo.gated = bool(wanted.get("gated", repo.gated))
                return _json({"private": repo.private})
            case ["POST", "variables"] if repo.repo_type == "space":
                repo.variables[request.json()["key"]] = request.json()["value"]
                return _json({key: {"key": key, "value": value} for key, value in repo.variables.items()})
            case ["POST", "branch", branch]:
                if branch in repo.branches:
                    raise _Refusal(409, f"Reference refs/heads/{branch} already exists")
                repo.branches[branch] = repo.at(request.json().get("startingPoint", "main")).id
                return _json({})
            case ["POST", "tag", revision]:
                tag = request.json()["tag"]
                if tag in repo.tags:
                    raise _Refusal(409, f"Tag {tag} already exists")
                repo.tags[tag] = repo.at(revision).id
                return _json({})
            case ["POST", "preupload", branch]:
                there = repo.at(branch).files
                answers = [
                    {"path": path, "uploadMode": "regular", "shouldIgnore": False}
                    | ({"oid": _blob_id(there[path])} if path in there else {})
                    for path in (file["path"] for file in request.json()["files"])
                ]
                return _json({"files": answers})
            case ["POST", "commit", branch]:
                about, target = {}, branch
                if request.asks("create_pr"):
                    number = 1 + sum(name.startswith("refs/pr/") for name in repo.branches)
                    target = f"refs/pr/{number}"
                    repo.branches[target] = repo.at(branch).id
                    about = {"pullRequestUrl": f"{self.url}/{repo.path}/discussions/{number}"}
                commit = _commit(repo, target, [json.loads(line) for line in request.body.splitlines()])
                url = f"{self.url}/{repo.path}/commit/{commit.id}"
                return _json({"success": True, "commitOid": commit.id, "commitUrl": url, "hookOutput": "", **about})
        raise _unknown(request)

    def _resolve(self, repo: Repo, revision: str, path: str, request: _Request, user: str | None) -> _Answer:
        if repo.gated and user != repo.owner:
            message = f"Access to {repo.repo_type} {repo.id} is restricted and you are not in the authorized list."
            raise _Refusal(401 if user is None else 403, message, "GatedRepo")
        commit = repo.at(revision)
        if path not in commit.files:
            raise _Refusal(404, "Entry not found", "EntryNotFound")
        body = commit.files[path]
        headers = {
            "Content-Type": "application/octet-stream",
            "ETag": f'"{_blob_id(body)}"',
            "X-Repo-Commit": commit.id,
            "Accept-Ranges": "bytes",
        }
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range") or "")
        if wanted is None:
            return _Answer(200, body, headers)
        first, last = int(wanted[1]), min(int(wanted[2] or len(body)), len(body) - 1)
        if first > last:
            return _Answer(416, b"", {**headers, "Content-Range": f"bytes */{len(body)}"})
        span = {"Content-Range": f"bytes {first}-{last}/{len(body)}"}
        return _Answer(206, body[first : last + 1], {**headers, **span})


def _unknown(request: _Request) -> _Refusal:
    return _Refusal(501, f"This hub does not know {request.line}")


def _is_private(wanted: Mapping[str, Any]) -> bool:
    return str(wanted.get("visibility", "public")) != "public"


def _commit(repo: Repo, branch: str, lines: Iterable[dict[str, Any]]) -> Commit:
    """Carry out the lines of a commit: a header, then one operation each."""
    if branch not in repo.branches:
        raise _Refusal(404, f"Invalid rev id: {branch}", "RevisionNotFound")
    files = dict(repo.at(branch).files)
    title = ""
    for line in lines:
        value = line["value"]
        match line["key"]:
            case "header":
                title = value["summary"]
                if value.get("parentCommit", repo.branches[branch]) != repo.branches[branch]:
                    raise _Refusal(412, "A commit has happened since. Please refresh and try again.")
            case "file":
                files[value["path"]] = base64.b64decode(value["content"])
            case "deletedFile" if value["path"] in files:
                del files[value["path"]]
            case "deletedFolder" if any(_inside(path, value["path"]) for path in files):
                files = {path: data for path, data in files.items() if not _inside(path, value["path"])}
            case "deletedFile" | "deletedFolder":
                raise _Refusal(404, f"A file with this name doesn't exist: {value['path']}", "EntryNotFound")
            case key:
                raise _Refusal(501, f"This hub commits no {key}")
    return repo.commit(files, branch, title)


def _inside(path: str, folder: str) -> bool:
    return path.startswith(folder.rstrip("/") + "/")


def _info(repo: Repo, commit: Commit, blobs: bool) -> dict[str, Any]:
    siblings = [
        {"rfilename": path} | ({"size": len(data), "blobId": _blob_id(data)} if blobs else {})
        for path, data in sorted(commit.files.items())
    ]
    return {
        "id": repo.id,
        "author": repo.owner,
        "sha": commit.id,
        "private": repo.private,
        "gated": "manual" if repo.gated else False,
        "disabled": False,
        "tags": [],
        "siblings": siblings,
    } | ({"sdk": repo.sdk} if repo.repo_type == "space" else {})


def _tree(commit: Commit, folder: str, recursive: bool) -> list[dict[str, Any]]:
    start = folder.rstrip("/") + "/" if folder else ""
    inside = {path: data for path, data in commit.files.items() if path.startswith(start)}
    if folder and not inside:
        raise _Refusal(404, f"{folder} does not exist", "EntryNotFound")
    folders = {str(parent) for path in inside for parent in PurePosixPath(path).parents}
    entries = [
        {"type": "directory", "path": path, "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0}
        for path in folders - {"."}
        if path.startswith(start)
    ] + [{"type": "file", "path": path, "oid": _blob_id(data), "size": len(data)} for path, data in inside.items()]
    entries.sort(key=lambda entry: str(entry["path"]))
    return [entry for entry in entries if recursive or "/" not in str(entry["path"])[len(start) :]]


def _refs(kind: str, names: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": commit} for name, commit in names.items()]


class _Server(ThreadingHTTPServer):
    """Keeps its connections, so that they can be hung up, and is silent when the other side hangs up."""

    daemon_threads = True

    def __init__(self, hub: HubServer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hub = hub
        self._connections: set[socket.socket] = set()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        for connection in list(self._connections):
            with suppress(OSError):  # it may have hung up itself
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer, sent as head and body, waits 40 ms for an acknowledgement

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        request = _Request(self.command, self.path, self.headers, body)
        answer = self.server.hub._meet(request) if len(body) == length else None  # shorter: the client has died
        if answer is None:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body) if answer.announced is None else answer.announced))
        self.end_headers()
        if self.command != "HEAD":
            self._send(answer.body[: answer.cut], answer.pace)
        self.close_connection = self.close_connection or answer.cut is not None

    def _send(self, body: bytes, pace: float | None) -> None:
        step = len(body) if pace is None else max(1, int(pace / 10))
        for start in range(0, len(body), max(1, step)):
            self.wfile.write(body[start : start + step])
            if pace is not None:
                time.sleep(step / pace)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass
