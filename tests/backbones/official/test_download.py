from __future__ import annotations

import hashlib
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
    """Gives one file. It can break off, change the file, lie about its size or know no ranges."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.ranges: list[str | None] = []  # of each request, in order
        self.break_off_after: list[int] = []  # bytes of the next answers
        self.num_promised_too_many = 0
        self.has_ranges = True
        self.has_length = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.ranges.append(self.headers["Range"])
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        tag = f'"{hashlib.sha256(self.server.content).hexdigest()[:8]}"'
        wanted = self.headers["Range"] if self.headers["If-Range"] == tag and self.server.has_ranges else None
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        body = self.server.content[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("ETag", tag)
        if self.server.has_length:
            self.send_header("Content-Length", str(len(body) + self.server.num_promised_too_many))
        self.end_headers()
        if self.server.break_off_after:
            body = body[: self.server.break_off_after.pop(0)]
        self.wfile.write(body)

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
    assert server.ranges == [None]
    assert list(path.parent.iterdir()) == [path]


def test_files_of_one_name_from_two_addresses_are_two(server, tmp_path):
    assert download(f"{server.url}/a/model", tmp_path) != download(f"{server.url}/b/model", tmp_path)


def test_a_broken_connection_is_taken_up_where_it_ended(server, tmp_path):
    server.break_off_after = [1000, 500]
    assert download(f"{server.url}/model", tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-", "bytes=1500-"]


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.has_ranges, server.break_off_after = False, [1000]
    assert download(f"{server.url}/model", tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=1000-"]


def test_a_file_that_changes_on_the_way_is_not_mixed(server, tmp_path):
    server.break_off_after = [1000]

    class Changing(list):
        def append(self, value):
            super().append(value)
            if len(self) == 2:
                server.content = CONTENT[::-1]

    server.ranges = Changing()
    assert download(f"{server.url}/model", tmp_path).read_bytes() == CONTENT[::-1]


def test_a_file_of_unannounced_length_is_taken_as_it_comes(server, tmp_path):
    server.has_length = False
    assert download(f"{server.url}/model", tmp_path).read_bytes() == CONTENT


def test_a_file_that_never_arrives_whole_is_refused(server, tmp_path):
    server.num_promised_too_many = 1
    with pytest.raises(WeightsError, match=r"/model: cannot be downloaded: 10,240 of 10,241 bytes arrived"):
        download(f"{server.url}/model", tmp_path)
    assert len(server.ranges) == downloads.NUM_ATTEMPTS
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_asked_for_once(server, tmp_path):
    with pytest.raises(WeightsError, match="/missing: cannot be downloaded: 404 Not Found"):
        download(f"{server.url}/missing", tmp_path)
    assert server.ranges == [None]
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_not_there_is_named(server, tmp_path):
    server.shutdown()
    server.server_close()
    with pytest.raises(WeightsError, match=r"cannot be downloaded: .*refused"):
        download(f"{server.url}/model", tmp_path)


@pytest.mark.parametrize("has_length", [True, False])
def test_a_file_of_too_many_bytes_is_refused(server, tmp_path, monkeypatch, has_length):
    monkeypatch.setattr(downloads, "MAX_BYTES", 5000)
    server.has_length = has_length
    with pytest.raises(WeightsError, match="at most 5,000 bytes were expected, found 10,240"):
        download(f"{server.url}/model", tmp_path)
    assert list(tmp_path.iterdir()) == []


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
    assert (report.source, report.sha256) == (url, digest)
    assert torch.equal(samples.answer(ours), samples.answer(theirs))


def test_a_download_of_another_hash_does_not_stay(server, tmp_path, samples):
    with pytest.raises(HashMismatchError, match="the file's name promises d5de5da6"):
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
    assert torch.equal(samples.answer(ours), samples.answer(theirs))


@pytest.mark.parametrize("is_long", [True, False])
def test_only_a_long_download_shows_a_bar(server, tmp_path, monkeypatch, capsys, is_long):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes the captured stream for a terminal
    monkeypatch.setattr(downloads, "SHOWN_FROM_BYTES", len(CONTENT) + (not is_long))
    download(f"{server.url}/model_a2", tmp_path)
    assert ("model_a2" in capsys.readouterr().err) == is_long
