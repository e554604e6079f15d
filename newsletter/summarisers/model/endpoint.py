"""One bounded POST to {url}/chat/completions, repeated while the endpoint is busy, put more simply while it does not understand.

No redirect is followed and no proxy of the environment used: the key goes where the settings say, and nowhere else.
"""

import json
import re
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import httpx2

from newsletter import __version__
from newsletter.deadline import Deadline, deadline_of, retry_after
from newsletter.errors import BadAnswer, ModelDeclined, ModelMisconfigured, ModelUnavailable, SummaryError
from newsletter.summarisers.model.manner import Manner, adapted, is_about_form
from newsletter.summarisers.model.prompts import Message
from newsletter.summarisers.model.reading import NOTHING, Busy, Reply, Usage, estimate, excerpt, read_reply

MOST_TOKENS = 2000  # of an answer; three sentences have about 300, a model that thinks aloud writes more
LARGEST_ANSWER = 1_000_000  # bytes
_REPEATS = 2  # of a request, while the endpoint is busy
_FIRST_WAIT = 1.0  # seconds; four times as long each time
_LONGEST_WAIT = 20.0  # who asks for more is asked again on another occasion
_FILTERED = re.compile(r"content_filter|content management policy|content policy|moderation|flagged", re.IGNORECASE)
_TOO_LONG = re.compile(r"context.{0,3}length|too many tokens|too long|maximum context", re.IGNORECASE)
_UNPAID = re.compile(r"insufficient_quota|billing", re.IGNORECASE)


@dataclass
class Meter:
    """Counts what a paper uses, also of calls that came to nothing."""

    used: Usage = NOTHING

    def count(self, messages: Sequence[Message], reply: Reply | None = None) -> None:
        """Add a call; what the endpoint did not count is estimated."""
        read = estimate("".join(message["content"] for message in messages))
        if reply is None:
            self.used += Usage(1, read, 0)
            return
        read = read if reply.input_tokens is None else reply.input_tokens
        written = estimate(reply.content) if reply.output_tokens is None else reply.output_tokens
        self.used += Usage(1, read, written)

    def count_refused(self) -> None:
        """Add a call that no model answered: no tokens were read."""
        self.used += Usage(1)


class _Complaint(Exception):
    """The endpoint does not take the request as it is put."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


@dataclass
class Endpoint:
    """Where a model is asked: what was learned of how to ask is kept as long as this lives."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    seconds: float = 60.0  # for one answer
    pause: Callable[[float], object] = field(default=time.sleep, repr=False)
    manner: Manner = field(default_factory=Manner)

    @property
    def host(self) -> str:
        """The host of the endpoint, for an operator."""
        return httpx2.URL(self.url).host

    @cached_property
    def _trusted(self) -> ssl.SSLContext:
        return httpx2.create_ssl_context(trust_env=False)

    def ask(self, messages: Sequence[Message], meter: Meter, *, seed: int, until: float) -> Reply:
        """Return the answer to a conversation, by `until` (monotonic seconds); raises a kind of SummaryError for each fate."""
        manner = self.manner
        while True:
            try:
                reply = self._patiently(messages, manner, meter, seed=seed, until=until)
            except _Complaint as complaint:
                simpler = _fate(complaint, manner)
                if isinstance(simpler, SummaryError):
                    raise simpler from None
                manner = simpler
                continue
            self.manner = manner
            return reply

    def _patiently(self, messages: Sequence[Message], manner: Manner, meter: Meter, *, seed: int, until: float) -> Reply:
        """Repeat a request while the endpoint is busy, with growing waits, as far as the time allows."""
        for wait in [_FIRST_WAIT * 4**number for number in range(_REPEATS)]:
            try:
                return self._once(messages, manner, meter, seed=seed, until=until)
            except Busy as busy:
                wanted = wait if busy.wait is None else busy.wait
                if wanted > _LONGEST_WAIT or time.monotonic() + wanted >= until:
                    raise
            self.pause(wanted)
        return self._once(messages, manner, meter, seed=seed, until=until)

    def _once(self, messages: Sequence[Message], manner: Manner, meter: Meter, *, seed: int, until: float) -> Reply:
        request = {"model": self.model, "messages": list(messages), **manner.fields(most=MOST_TOKENS, seed=seed)}
        seconds = min(self.seconds, until - time.monotonic())
        if seconds <= 0:
            raise ModelUnavailable("no time was left to ask", hint="Raise summaries.seconds if the model is slow.")
        try:
            status, body, wait = self._post(json.dumps(request).encode(), seconds)
        except Busy:
            meter.count_refused()
            raise
        except ModelUnavailable:
            meter.count(messages)  # it may have been at work
            raise
        if status != httpx2.codes.OK:
            meter.count_refused()
            raise self._refusal(status, body, wait)
        try:
            reply = read_reply(body, key=self.key)
        except ModelUnavailable:
            meter.count_refused()  # what answers so wrote nothing for us, and an outage must not use up the budget
            raise
        meter.count(messages, reply)
        return reply

    def _post(self, content: bytes, seconds: float) -> tuple[int, bytes, float | None]:
        """Return status, body and the wished wait; raises ModelUnavailable where no whole answer came in time."""
        if not re.fullmatch(r"[!-~]*", self.key):  # the library's complaint would quote it
            raise ModelMisconfigured(
                "summaries.key holds a space, a line break or a letter that no key has", hint="Correct summaries.key."
            )
        target = self.url.rstrip("/").removesuffix("/chat/completions") + "/chat/completions"
        with deadline_of(seconds) as deadline, self._client(seconds) as client:
            try:
                with client.stream("POST", target, content=content, extensions={"trace": deadline.watch}) as response:
                    body = _body(response)
            except (httpx2.UnsupportedProtocol, httpx2.InvalidURL, httpx2.LocalProtocolError) as error:
                raise ModelMisconfigured(f"{target}: cannot be asked: {error}", hint="Correct summaries.url.") from None
            except httpx2.HTTPError as error:
                raise _no_answer(error, deadline, seconds) from None
            if deadline.passed:  # cut in a body of no stated length: that looks like its end
                raise _hung(seconds)
            return response.status_code, body, retry_after(response.headers.get("Retry-After", ""))

    def _client(self, seconds: float) -> httpx2.Client:
        headers = {"User-Agent": f"newsletter/{__version__}", "Content-Type": "application/json", "Accept": "application/json"}
        # What is packed could unpack to any size; a kept connection would escape the next deadline.
        headers |= {"Accept-Encoding": "identity", "Connection": "close"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        return httpx2.Client(
            headers=headers,
            timeout=httpx2.Timeout(seconds, connect=min(10.0, seconds)),
            follow_redirects=False,
            trust_env=False,
            verify=self._trusted,
        )

    def _refusal(self, status: int, body: bytes, wait: float | None) -> Exception:
        """Return what an answer other than 200 means for us."""
        words = _words(body, self.key)
        said = f"the endpoint answered HTTP {status}" + (f": {words}" if words else "")
        if _FILTERED.search(words) and status in {400, 403, 422}:
            return ModelDeclined(said)
        if status in {401, 402, 403} or (status == httpx2.codes.TOO_MANY_REQUESTS and _UNPAID.search(words)):
            return ModelMisconfigured(said, hint="Check summaries.key, and the account it belongs to.")
        if httpx2.codes.is_redirect(status):
            return ModelMisconfigured(f"{said} (a redirect, which is not followed)", hint="Set summaries.url to where it leads.")
        if status in {400, 404, 422}:
            return _Complaint(status, words)
        if status in {408, 409, 425, 429} or httpx2.codes.is_server_error(status):
            return Busy(said + (f"; it asks to wait {wait:.0f} s" if wait else ""), wait=wait)
        return ModelMisconfigured(said, hint="Check summaries.url: it usually ends with /v1.")


def _fate(complaint: _Complaint, manner: Manner) -> Manner | SummaryError:
    """Return how to ask instead, or what the complaint means where no other way is left."""
    said = f"the endpoint answered HTTP {complaint.status}" + (f": {complaint.words}" if complaint.words else "")
    if _TOO_LONG.search(complaint.words) and not is_about_form(complaint.words):
        return BadAnswer(said, hint="The paper is too long for the model.")
    if complaint.status == httpx2.codes.NOT_FOUND and not is_about_form(complaint.words):
        return ModelMisconfigured(said, hint="Check summaries.model and summaries.url, which usually ends with /v1.")
    return adapted(manner, complaint.words) or BadAnswer(said, hint="See what the endpoint logs.")


def _body(response: httpx2.Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_raw(65_536):
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise ModelUnavailable(f"the endpoint answered more than {LARGEST_ANSWER:,} bytes", hint="Is summaries.url right?")
    return bytes(body)


def _words(body: bytes, key: str) -> str:
    """Return what a server says about an error."""
    return excerpt(body[:4000].decode("utf-8", "replace"), key=key)


def _no_answer(error: httpx2.HTTPError, deadline: Deadline, seconds: float) -> ModelUnavailable:
    if deadline.passed or isinstance(error, httpx2.ReadTimeout | httpx2.WriteTimeout):
        return _hung(seconds)
    return Busy(
        f"the endpoint gave no answer: {error or type(error).__name__}", hint="Is it running, and is summaries.url right?"
    )


def _hung(seconds: float) -> ModelUnavailable:
    return ModelUnavailable(
        f"the endpoint gave no whole answer within {seconds:.0f} s", hint="Raise summaries.seconds if it is slow."
    )
