"""A small Hugging Face Hub on the loopback, which the real client libraries talk to.

What it speaks: information and file lists of models and data sets at a revision, `resolve` with the Hub's headers
(ETag, X-Repo-Commit, X-Linked-Size, X-Linked-ETag), a relative redirect for small files and one to another host for
large ones, ranges, HEAD, and the Hub's refusals (401 and 403 of gated repositories, an unknown token, 404 of
repository, revision and file); and what writing needs: new repositories, `preupload`, LFS batches with the upload of
their objects to the other host, and commits of NDJSON, for a token that may write. `faults` makes it misbehave. Headers
and codes as huggingface_hub 2.4 reads them.
"""

import base64
import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".safetensors", ".bin", ".parquet", ".model", ".pt", ".pth")  # what Git LFS keeps on the Hub
DEFAULT_COMMIT = "0123456789abcdef0123456789abcdef01234567"
ACCEPTED = "hf_accepted0000000000000000000000000"  # a token whose owner accepted every licence
STRANGER = "hf_stranger0000000000000000000000000"  # a known token whose owner accepted none
CHUNK = 1 << 14
LONGEST_DELAY = 20.0  # bounded, so that no test hangs


@dataclass
class Repository:
    """A repository with one commit, to which the branch main points."""

    name: str
    kind: str
    files: dict[str, bytes]
    commit: str = DEFAULT_COMMIT
    gated: bool = False
    private: bool = False
    message: str = ""  # of the last commit


@dataclass
class Fault:
    """How a file is served wrongly, `times` times.

    cut      the connection closes after this many bytes of the file
    corrupt  one byte is another
    delay    seconds before each piece of the content
    status   answer with this HTTP status instead
    """

    cut: int | None = None
    corrupt: bool = False
    delay: float = 0.0
    status: int | None = None
    times: int = 10**6


@dataclass
class Request:
    """What a client asked for: method, path, the Authorization and Range headers, and on which of the two hosts."""

    method: str
    path: str
    authorization: str | None
    range: str | None
    host: str


@dataclass
class HubServer:
    """Use as a context; `endpoint` is the value of HF_ENDPOINT."""

    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)  # by file name
    requests: list[Request] = field(default_factory=list)
    plain: dict[str, bytes] = field(default_factory=dict)  # other addresses of this server: path -> content
    objects: dict[str, bytes] = field(default_factory=dict)  # uploaded to LFS: sha256 -> content

    def add(self, name: str, files: dict[str, bytes | str], *, kind: str = "model", commit: str = DEFAULT_COMMIT,
            gated: bool = False) -> Repository:  # fmt: skip
        content = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
        repository = Repository(name, kind, content, commit, gated)
        self.repositories[kind, name] = repository
        return repository

    def __enter__(self) -> "HubServer":
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), _Handler) for _ in range(2)]
        for server, role in zip(self._servers, ("hub", "cdn"), strict=True):
            server.daemon_threads = True
            server.hub, server.role = self, role
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        # Two names of one machine: the client sends its token to the first only, as with the Hub and its CDN.
        self.endpoint = f"http://127.0.0.1:{self._servers[0].server_port}"
        self.cdn = f"http://localhost:{self._servers[1].server_port}"
        return self

    def __exit__(self, *_) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def served(self, part: str, method: str = "GET") -> list[Request]:
        """Requests whose path holds `part`."""
        return [request for request in self.requests if part in request.path and request.method == method]


def blob_id(content: bytes) -> str:
    """Git's id of a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def is_large(name: str) -> bool:
    """Whether the Hub keeps this file in Git LFS."""
    return name.endswith(LARGE)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def _answer(self) -> None:
        hub: HubServer = self.server.hub
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        authorization = self.headers.get("Authorization")
        hub.requests.append(
            Request(self.command, self.path, authorization, self.headers.get("Range"), self.server.role)
        )
        path = unquote(urlsplit(self.path).path)
        try:
            written = self._write(path) if self.command in ("POST", "PUT") else False
            if written:
                return
            if self.server.role == "cdn" or path in hub.plain:
                self._send_stored(path)
            elif path.startswith("/api/resolve-cache/"):
                self._resolve_cache(path)
            elif path.startswith("/api/"):
                self._information(path)
            else:
                self._resolve(path)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    # --- what a repository is ---------------------------------------------------------------------------------------
    def _information(self, path: str) -> None:
        match = re.fullmatch(r"/api/(model|dataset)s/([^/]+/[^/]+)(?:/(revision|tree|paths-info)/([^/]+)(?:/(.*))?)?",
                             path)  # fmt: skip
        if not match:
            return self._refuse(404, "RepoNotFound", "Not here")
        kind, name, what, revision, inside = match.groups()
        repository = self._known(kind, name, revision or "main")
        if repository is None:
            return None
        entries = [_entry(path, content) for path, content in sorted(repository.files.items())]
        if what == "tree":
            recursive = parse_qs(urlsplit(self.path).query).get("recursive", [""])[0].lower() == "true"
            return self._json(_tree(entries, f"{inside}/" if inside else "", recursive=recursive))
        if what == "paths-info":
            asked = parse_qs(self.body.decode()).get("paths", [])
            return self._json([entry for entry in _tree(entries, "", recursive=True) if entry["path"] in asked])
        siblings = []
        for entry in entries:
            siblings.append({"rfilename": entry["path"]})
            if "blobs" in parse_qs(urlsplit(self.path).query):
                lfs = {"sha256": entry["lfs"]["oid"], **entry["lfs"]} if "lfs" in entry else None
                siblings[-1] |= {"size": entry["size"], "blobId": entry["oid"]} | ({"lfs": lfs} if lfs else {})
        gated = "manual" if repository.gated else False
        return self._json(
            {"id": name, "sha": repository.commit, "private": repository.private, "gated": gated, "disabled": False,
             "tags": [], "downloads": 0, "likes": 0, "siblings": siblings}
        )  # fmt: skip

    def _known(self, kind: str, name: str, revision: str) -> Repository | None:
        """The repository at this revision; None after a refusal was sent."""
        repository = self.server.hub.repositories.get((kind, name))
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token and token not in (ACCEPTED, STRANGER):
            return self._refuse(401, None, "Invalid credentials in Authorization header")
        if repository is None:  # without a token the Hub does not say whether there is one
            return self._refuse(404 if token else 401, "RepoNotFound", "Repository not found")
        if revision not in ("main", repository.commit):
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repository

    # --- writing ----------------------------------------------------------------------------------------------------
    def _write(self, path: str) -> bool:
        """Answer a request that writes; False where this is none."""
        hub: HubServer = self.server.hub
        if self.server.role == "cdn" and (match := re.fullmatch(r"/objects/([0-9a-f]{64})", path)):
            if hashlib.sha256(self.body).hexdigest() != match[1]:
                self._refuse(400, None, "Another content than was announced")
                return True
            hub.objects[match[1]] = self.body
            self._send(200, b"", {})
            return True
        if path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
            return True
        steps = {
            "preupload": r"/api/(model|dataset)s/([^/]+/[^/]+)/preupload/main",
            "commit": r"/api/(model|dataset)s/([^/]+/[^/]+)/commit/main",
            "batch": r"/(datasets/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch",
            "create": r"/api/repos/create",
        }
        matches = {step: re.fullmatch(form, path) for step, form in steps.items()}
        step, match = next(((step, found) for step, found in matches.items() if found), ("", None))
        if match is None:
            return False
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token != ACCEPTED:
            self._refuse(403 if token == STRANGER else 401, None, "You have no right to write here")
            return True
        if step == "create":
            self._create(json.loads(self.body))
            return True
        kind = match[1] if step != "batch" else "dataset" if match[1] else "model"
        repository = hub.repositories.get((kind, match[2]))
        if repository is None:
            self._refuse(404, "RepoNotFound", "Repository not found")
        elif step == "preupload":
            files = json.loads(self.body)["files"]
            modes = [{"path": file["path"], "uploadMode": "lfs" if is_large(file["path"]) else "regular",
                      "shouldIgnore": False, "oid": None} for file in files]  # fmt: skip
            self._json({"files": modes})
        elif step == "batch":
            asked = json.loads(self.body)["objects"]
            self._json({"transfer": "basic", "objects": [
                {**each, "actions": {"upload": {"href": f"{hub.cdn}/objects/{each['oid']}"}}} for each in asked
            ]})  # fmt: skip
        else:
            self._commit(repository)
        return True

    def _create(self, asked: dict) -> None:
        hub: HubServer = self.server.hub
        kind, name = asked.get("type") or "model", f"{asked.get('organization') or 'me'}/{asked['name']}"
        url = f"{hub.endpoint}/{'datasets/' * (kind == 'dataset')}{name}"
        if (kind, name) in hub.repositories:
            told = {"error": "You already created this repo", "url": url}
            return self._send(409, json.dumps(told).encode(), {"X-Error-Message": told["error"]})
        hub.add(name, {}, kind=kind).private = asked.get("visibility") == "private" or bool(asked.get("private"))
        return self._json({"url": url})

    def _commit(self, repository: Repository) -> None:
        hub: HubServer = self.server.hub
        for line in map(json.loads, self.body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                repository.message = value["summary"]
            elif line["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repository.files[value["path"]] = hub.objects[value["oid"]]
        content = json.dumps({name: blob_id(text) for name, text in sorted(repository.files.items())})
        repository.commit = hashlib.sha1(content.encode(), usedforsecurity=False).hexdigest()
        self._json({"commitUrl": f"{hub.endpoint}/{repository.name}/commit/{repository.commit}",
                    "commitOid": repository.commit, "pullRequestUrl": None})  # fmt: skip

    # --- files ------------------------------------------------------------------------------------------------------
    def _resolve(self, path: str) -> None:
        match = re.fullmatch(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        if not match:
            return self._refuse(404, "RepoNotFound", "Not here")
        kind = "dataset" if match[1] else "model"
        repository = self._known(kind, match[2], match[3])
        if repository is None:
            return None
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if repository.gated and token != ACCEPTED:
            page = f"{self.server.hub.endpoint}/{repository.name}"
            text = f"Access to {kind} {repository.name} is restricted. Visit {page} to ask for access."
            return self._refuse(403 if token else 401, "GatedRepo", text)
        commit = {"X-Repo-Commit": repository.commit}
        if match[4] not in repository.files:
            return self._refuse(404, "EntryNotFound", "Entry not found", commit)
        content = repository.files[match[4]]
        where = f"{kind}s/{repository.name}/{repository.commit}/{match[4]}"
        if is_large(match[4]):
            etag = f'"{hashlib.sha256(content).hexdigest()}"'
            linked = {"X-Linked-Size": str(len(content)), "X-Linked-ETag": etag, "ETag": etag}
            return self._redirect(302, f"{self.server.hub.cdn}/{where}", commit | linked)
        return self._redirect(307, f"/api/resolve-cache/{where}", commit)

    def _resolve_cache(self, path: str) -> None:
        self._send_stored(path.removeprefix("/api/resolve-cache"))

    def _send_stored(self, path: str) -> None:
        """The bytes of a file, whole or the range that was asked for, as the fault of its name has it."""
        hub: HubServer = self.server.hub
        if path in hub.plain:
            content, headers = hub.plain[path], {}
        else:
            match = re.fullmatch(r"/(model|dataset)s/([^/]+/[^/]+)/([0-9a-f]{40})/(.+)", path)
            content = hub.repositories[match[1], match[2]].files[match[4]]
            etag = hashlib.sha256(content).hexdigest() if is_large(match[4]) else blob_id(content)
            headers = {"ETag": f'"{etag}"', "X-Repo-Commit": match[3], "Accept-Ranges": "bytes"}
        fault = hub.faults.get(path.rpartition("/")[2])
        if self.command == "HEAD" or fault is None or fault.times <= 0:
            fault = Fault()
        fault.times -= 1
        if fault.status:
            return self._refuse(fault.status, None, "Something broke")
        if fault.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = int(match[1]) if (match := re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")) else 0
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.send_response(206 if start else 200)
        for key, value in {**headers, "Content-Length": str(len(content) - start)}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return None
        end = len(content) if fault.cut is None else max(start, min(fault.cut, len(content)))
        for position in range(start, end, CHUNK):
            time.sleep(min(fault.delay, LONGEST_DELAY))
            self.wfile.write(content[position : min(position + CHUNK, end)])
        if end < len(content):
            self.close_connection = True
        return None

    # --- answers ----------------------------------------------------------------------------------------------------
    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _redirect(self, status: int, location: str, headers: dict[str, str]) -> None:
        self._send(status, b"", {"Location": location, **headers})

    def _refuse(self, status: int, code: str | None, message: str, headers: dict[str, str] | None = None) -> None:
        told = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {}) | (headers or {})
        self._send(status, json.dumps({"error": message}).encode(), told)

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _entry(path: str, content: bytes) -> dict:
    """A file as the Hub's tree lists it."""
    entry: dict = {"type": "file", "path": path, "size": len(content), "oid": blob_id(content)}
    if is_large(path):
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
    return entry


def _tree(entries: list[dict], folder: str, *, recursive: bool) -> list[dict]:
    """Files and folders below `folder` ("" or with a slash at its end)."""
    inside = [entry for entry in entries if entry["path"].startswith(folder)]
    steps = {entry["path"]: entry["path"][len(folder) :].split("/")[:-1] for entry in inside}
    folders = {folder + "/".join(parts[: depth + 1]) for parts in steps.values() for depth in range(len(parts))}
    listed = [{"type": "directory", "path": path, "size": 0, "oid": blob_id(path.encode())} for path in sorted(folders)]
    return [entry for entry in [*listed, *inside] if recursive or "/" not in entry["path"][len(folder) :]]
