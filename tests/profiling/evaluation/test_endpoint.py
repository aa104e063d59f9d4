"""One question to an endpoint that is busy, broken, silent or hostile; all over real sockets."""

from __future__ import annotations

import json
import socket

import pytest
from standin_judge import Raw, completion, serve

from approxbit.errors import LinkError, LinkTimeoutError
from approxbit.profiling.evaluation import Endpoint
from approxbit.profiling.evaluation.endpoint import MAX_REPLY_BYTES

KEY = "sk-secret-123"
QUICK = {"first_wait_s": 0.001, "timeout_s": 30.0}


def test_a_reply_comes_with_who_gave_it() -> None:
    with serve(lambda number, body: "yes") as judge:
        reply = Endpoint(f"{judge.url}/", "judge-1", KEY).ask("be strict", "is it?")
    assert reply == ("yes", "judge-1-0613", "fp_7", 1)
    assert judge.paths == ["/v1/chat/completions"]
    assert judge.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert judge.requests == [
        {
            "model": "judge-1",
            "messages": [
                {"role": "system", "content": "be strict"},
                {"role": "user", "content": "is it?"},
            ],
            "temperature": 0,
        }
    ]


def test_without_a_key_none_is_sent() -> None:
    with serve(lambda number, body: completion("no", revision=None)) as judge:
        reply = Endpoint(judge.url, "judge-1").ask("", "")
    assert (reply.text, reply.revision) == ("no", "")
    assert "Authorization" not in judge.headers[0]


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_a_busy_endpoint_is_asked_again(status: int) -> None:
    with serve(lambda number, body: "yes" if number == 3 else Raw(status)) as judge:
        reply = Endpoint(judge.url, "judge-1", **QUICK).ask("", "")
    assert (reply.text, reply.num_requests) == ("yes", 3)


def test_an_endpoint_that_says_when_is_asked_no_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)
    replies = {1: Raw(429, headers={"Retry-After": "7"}), 2: Raw(503), 3: Raw(503), 4: "yes"}
    with serve(lambda number, body: replies[number]) as judge:
        assert Endpoint(judge.url, "judge-1").ask("", "").text == "yes"
    assert waits[0] == 7
    assert 1.5 <= waits[1] <= 2.5
    assert 3 <= waits[2] <= 5


def test_an_endpoint_that_stays_busy_is_given_up() -> None:
    with serve(lambda number, body: Raw(503)) as judge:
        endpoint = Endpoint(judge.url, "judge-1", num_attempts=3, **QUICK)
        with pytest.raises(LinkError, match="expected a reply, found HTTP 503 3 times"):
            endpoint.ask("", "")
    assert len(judge.requests) == 3


def test_a_refusal_is_final_and_never_shows_the_key() -> None:
    said = json.dumps({"error": f"the key {KEY} is not valid"}).encode()
    refused = pytest.raises(LinkError, match=r"the judge refused the request: HTTP 401 .*key \.\.\. is")
    with serve(lambda number, body: Raw(401, said)) as judge, refused as error:
        Endpoint(judge.url, "judge-1", KEY).ask("", "")
    assert len(judge.requests) == 1
    assert KEY not in str(error.value)
    assert KEY not in repr(Endpoint(judge.url, "judge-1", KEY))


def test_no_redirection_takes_the_key_along() -> None:
    with serve(lambda number, body: "yes") as other:
        moved = Raw(307, headers={"Location": f"{other.url}/chat/completions"})
        with serve(lambda number, body: moved) as judge, pytest.raises(LinkError, match="HTTP 307"):
            Endpoint(judge.url, "judge-1", KEY).ask("", "")
    assert other.requests == []


def test_a_silent_endpoint_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes connections and says nothing
        port = server.getsockname()[1]
        endpoint = Endpoint(
            f"http://127.0.0.1:{port}/v1", "j", timeout_s=0.05, num_attempts=2, first_wait_s=1e-3
        )
        with pytest.raises(LinkTimeoutError, match="expected a reply, found no reply in time 2 times"):
            endpoint.ask("", "")
    endpoint = Endpoint(f"http://127.0.0.1:{port}/v1", "j", num_attempts=2, first_wait_s=1e-3)
    with pytest.raises(LinkError, match=r"found .*refused 2 times"):
        endpoint.ask("", "")


def test_a_reply_that_drips_times_out_too() -> None:
    with serve(lambda number, body: Raw(200, b"x" * 400, drip_s=0.01)) as judge:
        endpoint = Endpoint(judge.url, "j", timeout_s=0.1, num_attempts=1)
        with pytest.raises(LinkTimeoutError, match="no reply in time"):
            endpoint.ask("", "")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"null",
        b'{"choices": []}',
        b'{"choices": [{"message": {"content": 5}}]}',
        b'{"choices": [{"message": {"content": null}}]}',
        b"[" * 100_000,
        b"\xff\xfe",
        completion("x" * MAX_REPLY_BYTES).body,
    ],
)
def test_what_is_no_completion_has_no_text(body: bytes) -> None:
    with serve(lambda number, _: Raw(200, body)) as judge:
        assert Endpoint(judge.url, "judge-1").ask("", "").text is None


def test_names_of_an_endpoint_are_short_and_printable() -> None:
    with serve(lambda number, body: completion("yes", "a\x1b[2J" + "b" * 999, None)) as judge:
        reply = Endpoint(judge.url, "judge-1").ask("", "")
    assert reply.model.startswith("a[2Jbbb")
    assert len(reply.model) == 200


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ("ftp://host/v1", "m"),
            "expected the url of a judge, such as https://host/v1, found 'ftp://host/v1'",
        ),
        (("host/v1", "m"), "expected the url of a judge"),
        (("https://sk-1@host/v1", "m"), "without a name, password or query"),
        (("https://host/v1?key=1", "m"), "without a name, password or query"),
        (("http://host/v1", "m", KEY), "expected https for a key that goes to host, found http"),
        (("https://host/v1", ""), "expected the name of the judge's model, found ''"),
        (("https://host/v1", "m", "a\nb"), "expected a key of printable ASCII characters"),
        (("https://host/v1", "m", "", 0), "expected timeout_s above 0, found 0"),
    ],
)
def test_an_endpoint_that_cannot_be_is_refused(arguments: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as error:
        Endpoint(*arguments)
    assert KEY not in str(error.value)
