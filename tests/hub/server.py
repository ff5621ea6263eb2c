"""A hub on loopback: the few requests that `huggingface_hub` sends to make, fill, list and read repositories.

Its client has no tests of its own to borrow. Every file is a regular one, so nothing goes to another store.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_this_test"  # noqa: S105  (of a server that lives as long as a test)
_API = re.compile(r"/api/(?P<kind>model|dataset)s/(?P<repo>[^/]+/[^/]+)(/(?P<what>\w+)/(?P<revision>[^/]+))?")
_FILE = re.compile(r"/(?P<kind>datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")


@dataclass(kw_only=True)
class Repo:
    """A repository: its states, oldest first, by commit."""

    private: bool
    states: dict[str, dict[str, bytes]] = field(default_factory=dict)

    @property
    def head(self) -> str:
        """The newest commit."""
        return list(self.states)[-1]

    @property
    def files(self) -> dict[str, bytes]:
        """The files of the newest commit."""
        return self.states[self.head]

    def commit(self, files: dict[str, bytes]) -> str:
        """Add a state."""
        name = hashlib.sha1(f"{len(self.states)}{sorted(files)}".encode()).hexdigest()  # noqa: S324  (as git has them)
        self.states[name] = files
        return name


@dataclass(kw_only=True)
class Hub:
    """What the server holds, and what was asked of it."""

    url: str = ""
    repos: dict[tuple[str, str], Repo] = field(default_factory=dict)  # by kind and name
    asked: list[str] = field(default_factory=list)  # paths of requests
    received: list[bytes] = field(default_factory=list)  # their bodies
    is_down: bool = False  # answers 503

    def add(self, kind: str, name: str, files: dict[str, bytes], *, private: bool = False) -> Repo:
        """Make a repository, as another one did before."""
        repo = Repo(private=private)
        repo.commit({".gitattributes": b"", **files})
        self.repos[kind, name] = repo
        return repo


@contextmanager
def hub_server() -> Iterator[Hub]:
    """Yield a hub that answers on loopback."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_POST(self) -> None:
        body = self._begin()
        if self.hub.is_down:
            self._answer(503, {"error": "down"})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(401, {"error": "Invalid username or password."})
        elif self.path == "/api/repos/create":
            self._create(json.loads(body))
        elif self.path == "/api/validate-yaml":
            unknown = "license: no-such-license" in json.loads(body)["content"]
            errors = [{"message": '"license" must be one of a list'}]
            self._answer(400 if unknown else 200, {"errors": errors if unknown else [], "warnings": []})
        else:
            self._change(body)

    def do_GET(self) -> None:
        self._begin()
        place = urlsplit(self.path).path
        api, file = _API.fullmatch(place), _FILE.fullmatch(place)
        if api is not None:
            self._describe(api)
        elif file is not None:
            self._send_file(file)
        else:
            self._answer(404, {"error": "no such page"})

    do_HEAD = do_GET

    def _begin(self) -> bytes:
        self.hub.asked.append(f"{self.command} {unquote(self.path)}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.hub.received.append(body)
        return body

    def _create(self, asked: dict[str, Any]) -> None:
        kind, name = asked.get("type") or "model", f"{asked['organization']}/{asked['name']}"
        url = f"{self.hub.url}/{'datasets/' if kind == 'dataset' else ''}{name}"
        if (kind, name) in self.hub.repos:
            self._answer(409, {"error": "You already created this repo", "url": url})
            return
        is_private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.hub.add(kind, name, {}, private=is_private)
        self._answer(200, {"url": url})

    def _change(self, body: bytes) -> None:
        found = _API.fullmatch(urlsplit(self.path).path)
        assert found is not None, self.path
        repo = self.hub.repos[found["kind"], found["repo"]]
        if found["what"] == "preupload":
            paths = [file["path"] for file in json.loads(body)["files"]]
            answer = [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]
            self._answer(200, {"files": answer})
            return
        files = dict(repo.files)
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header" and value.get("parentCommit") not in (None, repo.head):
                self._answer(412, {"error": "A commit has happened since."})
                return
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        name = repo.commit(files)
        place = f"{self.hub.url}/{'datasets/' if found['kind'] == 'dataset' else ''}{found['repo']}"
        self._answer(200, {"commitUrl": f"{place}/commit/{name}", "commitOid": name})

    def _describe(self, asked: re.Match[str]) -> None:
        found = self._state(asked["kind"], asked["repo"], asked["revision"] or "main")
        if found is None:
            return
        repo, name = found
        files = repo.states[name]
        if asked["what"] == "tree":
            oid = hashlib.sha1
            entries = [
                {"type": "file", "path": path, "size": len(data), "oid": oid(data).hexdigest()}
                for path, data in files.items()
            ]
            self._answer(200, entries)
            return
        siblings = [{"rfilename": path} for path in files]
        self._answer(200, {"id": asked["repo"], "sha": name, "private": repo.private, "siblings": siblings})

    def _send_file(self, asked: re.Match[str]) -> None:
        found = self._state("dataset" if asked["kind"] else "model", asked["repo"], asked["revision"])
        if found is None:
            return
        repo, name = found
        data = repo.states[name].get(unquote(asked["path"]))
        if data is None:
            self._answer(404, {}, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": name})
            return
        etag = f'"{hashlib.sha1(data).hexdigest()}"'  # noqa: S324  (as git has them)
        self._answer(200, data, {"ETag": etag, "X-Repo-Commit": name})

    def _state(self, kind: str, name: str, revision: str) -> tuple[Repo, str] | None:
        repo = self.hub.repos.get((kind, name))
        if repo is None:
            self._answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            return None
        commit = repo.head if revision == "main" else revision
        if commit not in repo.states:
            self._answer(404, {"error": "no such revision"}, {"X-Error-Code": "RevisionNotFound"})
            return None
        return repo, commit

    def _answer(self, code: int, content: object, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(code)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        if not isinstance(content, bytes):
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""
