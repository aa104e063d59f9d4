"""A hub on this machine: those calls of its HTTP API that reading and publishing a repository take.

It keeps repositories in memory, commit by commit, and large files by their SHA-256 as Git LFS does. What a
hostile hub could send is set in a commit's files, and what it could say of one in `told`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors",)
Files = dict[str, bytes]


@dataclass
class Repository:
    """Its commits, the newest last, and what it says of files instead of the truth."""

    private: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    told: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, files: Files, message: str = "") -> str:
        number = len(self.commits)
        commit = hashlib.sha1(f"{number}{sorted(files)}".encode()).hexdigest()
        self.commits[commit] = files
        self.messages.append(message)
        return commit

    def find(self, revision: str) -> str | None:
        if revision == "main" and self.commits:
            return list(self.commits)[-1]
        return revision if revision in self.commits else None

    def describe(self, commit: str) -> list[dict[str, Any]]:
        return [self._describe_file(*each) for each in self.commits[commit].items()]

    def _describe_file(self, name: str, content: bytes) -> dict[str, Any]:
        facts: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": git_oid(content)}
        if name.endswith(LARGE):
            digest = hashlib.sha256(content).hexdigest()
            facts["lfs"] = {"size": len(content), "sha256": digest, "pointerSize": 130}
        told = self.told.get(name, {})
        if "lfs" in facts and "sha256" in told:
            facts["lfs"]["sha256"] = told["sha256"]
        return {**facts, **{key: value for key, value in told.items() if key == "size"}}


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class StandinHub:
    """A context manager that listens on a free port."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.uploaded: dict[str, bytes] = {}
        self.sent: list[str] = []
        """Names of the files whose content was asked for."""
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> StandinHub:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: StandinHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._get(with_content=False)

    def do_GET(self) -> None:
        self._get(with_content=True)

    def do_PUT(self) -> None:
        content = self._body()
        self.hub.uploaded[hashlib.sha256(content).hexdigest()] = content
        self._reply(200, b"")

    def do_POST(self) -> None:
        path, body = urlsplit(self.path).path, self._body()
        if path == "/api/validate-yaml":
            return self._json({"warnings": [], "errors": []})
        if "Authorization" not in self.headers:
            return self._json({"error": "Invalid username or password."}, 401)
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/preupload/([^/]+)", path):
            return self._preupload(json.loads(body))
        if re.fullmatch(r"/[^/]+/[^/]+\.git/info/lfs/objects/batch", path):
            return self._batch(json.loads(body))
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/([^/]+)", path):
            return self._commit(match[1], [json.loads(line) for line in body.splitlines()])
        return self._json({"error": f"no such call: {path}"}, 404)

    def _get(self, with_content: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        api = re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/revision/(.+))?", path)
        raw = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        match = api or raw
        repository = self.hub.repositories.get(match[1]) if match else None
        if match is None or repository is None:
            return self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        commit = repository.find(match[2] or "main")
        if commit is None:
            return self._json({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
        if api:
            facts = {"id": match[1], "modelId": match[1], "sha": commit, "private": repository.private}
            return self._json({**facts, "tags": [], "siblings": repository.describe(commit)})
        content = repository.commits[commit].get(match[3])
        if content is None:
            return self._json({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
        if with_content:
            self.hub.sent.append(match[3])
        return self._reply(200, content, {"X-Repo-Commit": commit, "ETag": f'"{git_oid(content)}"'})

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        url = {"url": f"{self.hub.url}/{name}"}
        if name in self.hub.repositories:
            return self._json({"error": "You already created this model repo", **url}, 409)
        private = asked.get("private") is True or asked.get("visibility") == "private"
        self.hub.repositories[name] = Repository(private)
        self.hub.repositories[name].add({".gitattributes": b"*.safetensors filter=lfs\n"})
        return self._json(url)

    def _preupload(self, asked: dict[str, Any]) -> None:
        modes = {
            each["path"]: "lfs" if each["path"].endswith(LARGE) else "regular" for each in asked["files"]
        }
        files = [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in modes.items()]
        self._json({"files": files})

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.hub.url}/upload/{each['oid']}"}}}
            for each in asked["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def _commit(self, name: str, operations: list[dict[str, Any]]) -> None:
        repository, message = self.hub.repositories[name], ""
        files = dict(repository.commits[str(repository.find("main"))])
        for operation in operations:
            key, value = operation["key"], operation["value"]
            if key == "header":
                message = value["summary"]
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.hub.uploaded[value["oid"]]
            else:
                assert key == "deletedFile"
                del files[value["path"]]
        commit = repository.add(files, message)
        self._json({"commitUrl": f"{self.hub.url}/{name}/commit/{commit}", "commitOid": commit})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._reply(
            status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})}
        )

    def _reply(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        always = {"Content-Length": str(len(content)), "Connection": "close"}  # none outlives the server
        for name, value in {**always, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
