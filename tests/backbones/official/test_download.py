from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch

from approxbit.backbones.official import download as downloads
from approxbit.backbones.official.download import default_cache, download
from approxbit.backbones.official.known import KNOWN_CHECKPOINTS, KnownCheckpoint
from approxbit.backbones.official.loading import load_official
from approxbit.errors import HashMismatchError, WeightsError

CONTENT = bytes(range(256)) * 40


class Server(ThreadingHTTPServer):
    """Gives one file. It can break off, tell no length, and refuse to be asked for one."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.requests: list[str] = []
        self.breaks_off = False
        self.has_length = True
        self.takes_questions = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_HEAD(self) -> None:
        self.server.requests.append(self.command)
        if self.path.startswith("/missing") or (self.command == "HEAD" and not self.server.takes_questions):
            self.send_error(404)
            return
        self.send_response(200)
        if self.server.has_length:
            self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.server.content[: len(self.server.content) // (1 + self.server.breaks_off)])

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_file_is_downloaded_once(server, tmp_path):
    path = download(f"{server.url}/weights/model%20A0_v3?raw=true", tmp_path / "cache")
    assert path.read_bytes() == CONTENT
    assert path.name.endswith("-model A0_v3")
    assert download(f"{server.url}/weights/model%20A0_v3?raw=true", tmp_path / "cache") == path
    assert server.requests == ["HEAD", "GET"]
    assert list(path.parent.iterdir()) == [path]


def test_files_of_one_name_from_two_addresses_are_two(server, tmp_path):
    assert download(f"{server.url}/a/model", tmp_path) != download(f"{server.url}/b/model", tmp_path)


@pytest.mark.parametrize(("has_length", "takes_questions"), [(False, True), (True, False)])
def test_a_file_of_unannounced_length_is_taken_as_it_comes(server, tmp_path, has_length, takes_questions):
    server.has_length, server.takes_questions = has_length, takes_questions
    assert download(f"{server.url}/model", tmp_path).read_bytes() == CONTENT


def test_a_file_that_does_not_arrive_whole_is_refused(server, tmp_path):
    server.breaks_off = True
    with pytest.raises(WeightsError, match=r"/model: cannot be downloaded: 5,120 of 10,240 bytes arrived"):
        download(f"{server.url}/model", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_breaks_off_or_is_another_one_has_not_the_known_hash(server, tmp_path):
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert download(f"{server.url}/good", tmp_path, digest[:8]).read_bytes() == CONTENT
    with pytest.raises(HashMismatchError, match=rf'/model: .*expected "00000000", got "{digest}"'):
        download(f"{server.url}/model", tmp_path, "0" * 8)
    server.breaks_off = True
    with pytest.raises(HashMismatchError, match=f'expected "{digest}"'):
        download(f"{server.url}/model", tmp_path, digest)
    assert [path.name.rpartition("-")[2] for path in tmp_path.iterdir()] == ["good"]


def test_a_file_that_is_not_there_is_refused(server, tmp_path):
    with pytest.raises(WeightsError, match="/missing: cannot be downloaded: HTTP Error 404: Not Found"):
        download(f"{server.url}/missing", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_named(server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(WeightsError, match=r"cannot be downloaded: .*refused"):
        download(f"{server.url}/model", tmp_path)


def test_a_name_that_nobody_has_is_named(tmp_path):
    with pytest.raises(
        WeightsError, match=r"http://nobody\.invalid/model: cannot be downloaded: \[Errno -\d\]"
    ):
        download("http://nobody.invalid/model", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_says_nothing_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/model"
        with pytest.raises(WeightsError, match=r"/model: cannot be downloaded: .*timed out"):
            download(url, tmp_path)


def test_the_cache_lies_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("APPROXBIT_CACHE", str(tmp_path))
    assert default_cache() == tmp_path / "official"
    monkeypatch.delenv("APPROXBIT_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache() == tmp_path / "home" / ".cache" / "approxbit" / "official"


def test_weights_are_loaded_from_an_address_and_checked(server, tmp_path, samples):
    theirs, ours = samples.mvit(seed=1), samples.mvit(seed=2)
    torch.save(theirs.state_dict(), tmp_path / "m")
    server.content = (tmp_path / "m").read_bytes()
    digest = hashlib.sha256(server.content).hexdigest()
    url = f"{server.url}/mvit_v2-{digest[:8]}.pth"
    report = load_official(ours, url, sha256=digest, cache=tmp_path / "cache")
    assert (report.source, report.sha256, report.is_hash_known) == (url, digest, True)
    assert torch.equal(samples.answer(ours), samples.answer(theirs))


def test_a_download_of_another_hash_does_not_stay(server, tmp_path, samples):
    with pytest.raises(HashMismatchError, match='expected "d5de5da6"'):
        load_official(samples.mvit(), f"{server.url}/mvit-d5de5da6.pth", cache=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_address_of_a_local_file_is_read_in_place(tmp_path, samples):
    theirs, ours = samples.mvit(seed=1), samples.mvit(seed=2)
    torch.save(theirs.state_dict(), tmp_path / "my weights")
    load_official(ours, (tmp_path / "my weights").as_uri(), cache=tmp_path / "cache")
    assert torch.equal(samples.answer(ours), samples.answer(theirs))
    assert not (tmp_path / "cache").exists()


def test_a_short_name_stands_for_its_address(server, tmp_path, samples, monkeypatch):
    theirs, ours = samples.movinet(seed=1), samples.movinet(seed=2)
    torch.save(theirs.state_dict(), tmp_path / "m")
    server.content = (tmp_path / "m").read_bytes()
    known = KnownCheckpoint(f"{server.url}/m?raw=true", "atze00", "movinet_a2", 600, 78.62)
    monkeypatch.setitem(KNOWN_CHECKPOINTS, "movinet-a2-k600", known)
    report = load_official(ours, "movinet-a2-k600", cache=tmp_path / "cache")
    assert (report.source, report.origin) == ("movinet-a2-k600", "atze00")
    assert f"(SHA-256 {hashlib.sha256(server.content).hexdigest()}, found; nobody promises one" in str(report)
    assert torch.equal(samples.answer(ours), samples.answer(theirs))
