"""A language model behind an OpenAI-compatible endpoint: one question, one bounded reply."""

from __future__ import annotations

import http.client
import ipaddress
import json
import random
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from approxbit.errors import LinkError, LinkTimeoutError

MAX_REPLY_BYTES = 1 << 18
MAX_WAIT_S = 60.0
_AGAIN = (408, 409, 425, 429)
_SHOWN = 200  # characters of an error's body


class Reply(NamedTuple):
    """What an endpoint said.

    Attributes:
        text: The model's words; None where the endpoint's document holds none.
        model: As which the endpoint answered; empty if it does not say.
        revision: Its `system_fingerprint`; empty if it reports none.
        num_requests: With those that were repeated.
    """

    text: str | None
    model: str
    revision: str
    num_requests: int


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: the key would go along, to whatever host an answer names."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """None, so that the redirection is an error."""
        return


@dataclass(frozen=True)
class Endpoint:
    """Chat completions of one model, at temperature 0.

    Attributes:
        url: Up to what stands before `/chat/completions`, such as `https://api.openai.com/v1`.
        model: Which model to ask.
        key: Sent as a bearer token, if there is one; never shown.
        timeout_s: For each request.
        num_attempts: Requests for one question, at most.
        first_wait_s: Before the second request; the next waits are twice as long each, up to `MAX_WAIT_S`.

    Raises:
        ValueError: The url is not one of http or https, holds a name, password or query, would carry the key
            unencrypted to another machine, there is no model, or a number is not above 0.
    """

    url: str
    model: str
    key: str = field(default="", repr=False)
    timeout_s: float = 60.0
    num_attempts: int = 6
    first_wait_s: float = 1.0

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"expected the url of a judge, such as https://host/v1, found {self.url!r}")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError(
                "expected the url of a judge without a name, password or query: a key is read from the "
                "environment"
            )
        if self.key and parts.scheme == "http" and not _is_this_machine(parts.hostname):
            raise ValueError(
                f"expected https for a key that goes to {parts.hostname}, found http: unset the key, or use "
                "a tunnel"
            )
        if not self.model:
            raise ValueError("expected the name of the judge's model, found ''")
        if not (self.key.isascii() and self.key.isprintable()):
            raise ValueError("expected a key of printable ASCII characters")
        for name in ("timeout_s", "num_attempts", "first_wait_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"expected {name} above 0, found {getattr(self, name)}")

    @property
    def host(self) -> str:
        """Name and port of the endpoint."""
        return urlsplit(self.url).netloc

    def ask(self, system: str, user: str) -> Reply:
        """What the model replies to one message.

        An endpoint that is busy, fails or is silent is asked again, later each time.

        Raises:
            LinkTimeoutError: It did not answer any request in time.
            LinkError: It could not be reached, failed every time, or refused the request.
        """
        messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
        body = json.dumps({"model": self.model, "messages": messages, "temperature": 0}).encode()
        for attempt in range(1, self.num_attempts + 1):
            try:
                return _read(self._post(body), attempt)
            except _BusyError as busy:
                if attempt == self.num_attempts:
                    kind = LinkTimeoutError if busy.is_silent else LinkError
                    raise kind(f"{self.host}: expected a reply, found {busy} {attempt} times") from None
                time.sleep(self._wait_s(attempt, busy.wait_s))
        raise AssertionError("unreachable")

    def _post(self, body: bytes) -> bytes:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        request = urllib.request.Request(f"{self.url.rstrip('/')}/chat/completions", body, headers)
        host, until = urlsplit(self.url).hostname or "", time.monotonic() + self.timeout_s
        direct = [urllib.request.ProxyHandler({})] if _is_this_machine(host) else []
        try:
            opener = urllib.request.build_opener(_NoRedirect, *direct)
            with opener.open(request, timeout=self.timeout_s) as reply:
                return _read_bounded(reply, until)
        except urllib.error.HTTPError as error:
            with error:
                self._refuse(error)
        except TimeoutError:
            raise _BusyError("no reply in time", is_silent=True) from None
        except (OSError, http.client.HTTPException) as error:  # an URLError too
            reason = getattr(error, "reason", error)
            raise _BusyError(f"{reason}", is_silent=isinstance(reason, TimeoutError)) from None
        raise AssertionError("unreachable")

    def _refuse(self, error: urllib.error.HTTPError) -> None:
        if error.code in _AGAIN or error.code >= 500:
            raise _BusyError(f"HTTP {error.code}", _seconds(error.headers.get("Retry-After")))
        try:
            said = error.read(4 * _SHOWN).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            said = ""
        shown = " ".join((said.replace(self.key, "...") if self.key else said).split())[:_SHOWN]
        raise LinkError(f"{self.host}: the judge refused the request: HTTP {error.code} {shown}")

    def _wait_s(self, attempt: int, asked_s: float) -> float:
        own = self.first_wait_s * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)
        return float(min(MAX_WAIT_S, max(own, asked_s)))


class _BusyError(Exception):
    """Try again."""

    def __init__(self, what: str, wait_s: float = 0.0, is_silent: bool = False) -> None:
        super().__init__(what)
        self.wait_s, self.is_silent = wait_s, is_silent


def _read_bounded(reply: Any, until: float) -> bytes:
    """A body, or its first part where it is too long; raises TimeoutError where it drips past a time."""
    content = b""
    while len(content) <= MAX_REPLY_BYTES:
        part = reply.read1(MAX_REPLY_BYTES + 1 - len(content))
        if not part:
            break
        content += part
        if time.monotonic() > until:
            raise TimeoutError
    return content


def _read(content: bytes, num_requests: int) -> Reply:
    """The words of a reply; None where it is too long or no document of a completion."""
    nothing = Reply(None, "", "", num_requests)
    if len(content) > MAX_REPLY_BYTES:
        return nothing
    try:
        document = json.loads(content)
        text = document["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return nothing
    model, revision = (document.get(key) for key in ("model", "system_fingerprint"))
    return Reply(text if isinstance(text, str) else None, _short(model), _short(revision), num_requests)


def _short(value: Any) -> str:
    """A name that an endpoint gave, in the length and the characters that a name has."""
    return "".join(each for each in value if each.isprintable())[:_SHOWN] if isinstance(value, str) else ""


def _seconds(text: str | None) -> float:
    """Of a `Retry-After`; 0 where it is a date or nothing."""
    try:
        return max(0.0, min(MAX_WAIT_S, float(text or 0)))
    except ValueError:
        return 0.0


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
