"""What an endpoint answered, read with suspicion: every way in which it is no summary has its sentence. All pure.

The body is what OpenAI's chat completions answer; the content is JSON, JSON in prose, or at the worst a list with dashes.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from newsletter import text
from newsletter.errors import BadAnswer, ModelDeclined, ModelUnavailable

FEWEST, MOST = 2, 6  # bullets; three are asked for
_BUSY = {"408", "429", "500", "502", "503", "504", "529"}
_MOST_TOKENS = 10_000_000  # of one answer; who counts more does not count
_THOUGHT = re.compile(r"\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
_UNFINISHED_THOUGHT = re.compile(r"\A\s*<think(?:ing)?>", re.IGNORECASE)
_DASHED = re.compile(r"^\s*(?:[-*•·‣–]|\d{1,2}[.)])\s+(\S.*)$", re.MULTILINE)
_MARK = re.compile(r"^(?:[-*•·‣]|\d{1,2}[.)])\s+")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_WRONG_URL = "Is summaries.url right? It usually ends with /v1."


@dataclass(frozen=True)
class Usage:
    """What was used: calls of the endpoint, tokens read and written."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        """Return both together."""
        return Usage(self.calls + other.calls, self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens)


NOTHING = Usage()


@dataclass(frozen=True)
class Reply:
    """One answer: its content, or the fault that it has instead; tokens are None where it did not count them."""

    content: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    fault: BadAnswer | ModelDeclined | None = None


class Busy(ModelUnavailable):
    """No answer for now: the same request may be repeated at once, or after `wait` seconds if the server said so."""

    def __init__(self, what: str, *, hint: str = "", wait: float | None = None) -> None:
        """Keep the wait that the server asked for."""
        super().__init__(what, hint=hint or "Nothing to do: the paper is tried again later. If it lasts, look at the endpoint.")
        self.wait = wait


def read_reply(body: bytes, *, key: str = "") -> Reply:
    """Return what the body of an answer with status 200 says; raises ModelUnavailable where it is none of the protocol's."""
    answer = _object(body)
    if answer.get("error"):
        raise _said_error(answer["error"], key)
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        raise ModelUnavailable("the endpoint answered without any choice", hint=_WRONG_URL)
    choice = choices[0]
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    content = _content(message.get("content"))
    usage = answer.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    fault = _fault(choice, message, content)
    return Reply(content, _tokens(usage.get("prompt_tokens")), _tokens(usage.get("completion_tokens")), fault)


def _object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        start = body.lstrip()[:200].lower()
        what = (
            "a web page" if start.startswith((b"<!doctype", b"<html", b"<?xml")) else "nothing" if not start else "no whole JSON"
        )
        raise ModelUnavailable(f"the endpoint answered {what}", hint=_WRONG_URL) from None
    if not isinstance(answer, dict):
        raise ModelUnavailable("the endpoint answered JSON that is no chat completion", hint=_WRONG_URL)
    return answer


def _said_error(error: object, key: str) -> ModelUnavailable:
    """Return an error that came with status 200; some proxies put the true status inside."""
    details = error if isinstance(error, dict) else {}
    words = f"the endpoint answered an error with status 200: {excerpt(str(details.get('message') or error), key=key)}"
    return Busy(words) if str(details.get("code")) in _BUSY else ModelUnavailable(words, hint="See what the endpoint logs.")


def _content(given: object) -> str:
    """Return the content, which may come in parts."""
    if isinstance(given, list):
        return "".join(str(part.get("text", "")) for part in given if isinstance(part, dict))
    return given if isinstance(given, str) else ""


def _fault(choice: dict[str, Any], message: dict[str, Any], content: str) -> BadAnswer | ModelDeclined | None:
    reason = choice.get("finish_reason")
    if message.get("refusal"):
        return ModelDeclined(f"the model refused: {excerpt(str(message['refusal']))}")
    if reason == "content_filter":
        return ModelDeclined("the endpoint's content filter held the answer back")
    if reason == "length":
        return BadAnswer("the answer was cut off at its greatest length", hint="A model that thinks aloud needs another setting.")
    if not content.strip():
        return BadAnswer("the answer is empty", answer="")
    return None


def _tokens(given: object) -> int | None:
    counted = isinstance(given, int) and not isinstance(given, bool) and 0 <= given <= _MOST_TOKENS
    return given if counted and isinstance(given, int) else None


def estimate(words: str) -> int:
    """Return about how many tokens a text is: one for four ASCII characters or one other; rather more than less."""
    plain = sum(map(str.isascii, words))
    return plain // 4 + len(words) - plain + 1


def excerpt(words: str, *, key: str = "") -> str:
    """Return the beginning of a server's words, for an operator; without our key, which some repeat."""
    return text.one_line(words.replace(key, "[the key]") if key else words)[:300]


def read_bullets(content: str) -> tuple[str, ...]:
    """Return the bullets of an answer as clean lines; raises BadAnswer, which says what is wrong with it."""
    said = _THOUGHT.sub("", content)
    if _UNFINISHED_THOUGHT.match(said):
        raise BadAnswer("the answer is nothing but thoughts that do not end", answer="")
    found = _from_json(said)
    if found is None:
        if "{" in said[:200] or said.lstrip().startswith("["):
            raise BadAnswer("the answer is JSON that breaks off or is malformed", answer=content)
        found = _DASHED.findall(said)
    if not found:
        raise BadAnswer("the answer holds no bullets", answer=content)
    return _clean(found, content)


def _from_json(said: str) -> list[object] | None:
    """Return the first list in the text that can be the bullets: under its key, or bare; None where there is no such JSON."""
    decoder = json.JSONDecoder(strict=False)  # a line break within a string is no reason to throw it away
    for start in [place.start() for place in re.finditer(r"[{\[]", said)][:20]:
        try:
            value, _ = decoder.raw_decode(said, start)
        except (ValueError, RecursionError):
            if start == len(said) - len(said.lstrip()):
                return None  # it begins as JSON and is none: nothing inside is taken for the whole
            continue
        listed = value.get("bullets") if isinstance(value, dict) else value
        if isinstance(listed, list):
            return listed
    return None


def _clean(found: list[object], content: str) -> tuple[str, ...]:
    if not FEWEST <= len(found) <= MOST:
        raise BadAnswer(f"the answer has a list of {len(found)} instead of three bullets", answer=content)
    lines = [item for item in found if isinstance(item, str)]
    if len(lines) < len(found):
        raise BadAnswer("the answer holds bullets that are objects or lists instead of plain text", answer=content)
    if any(_CONTROL.search(line) for line in lines):
        raise BadAnswer("the answer holds control characters, as a backslash in JSON leaves them", answer=content)
    return tuple(_MARK.sub("", text.one_line(line)) for line in lines)
