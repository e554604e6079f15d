"""A language model's endpoint on the loopback that behaves as badly as it is told, paper by paper, and counts its calls.

    with model_server({"Paper 2 on small models": ["html", "ok"]}) as model:
        settings = {"url": model.url, "model": "parrot-1"}

Each call about a paper takes the next behaviour of its script, the last one stays; who has none gets `model.default`.
An "ok" answer is honest: it is made of the paper's own names, numbers and sentences, in Korean or in English.
"""

import json
import re
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import accumulate
from typing import Any

from loopback import serving

from newsletter.summarisers.checks.glossary import topics
from newsletter.summarisers.model import Audit, Endpoint, LanguageModel
from newsletter.text import sentences

KEY = "sk-canary-4711"


@dataclass(frozen=True)
class Said:
    """One HTTP answer; `hang` keeps the caller waiting before it, until the server is closed."""

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    hang: bool = False
    drip: bool = False


@dataclass(frozen=True)
class Asked:
    """One request, as the server understood it."""

    title: str
    abstract: str
    language: str
    body: dict[str, Any]
    headers: dict[str, str]

    @property
    def is_repair(self) -> bool:
        """Whether a former answer is given back."""
        return len(self.body["messages"]) > 2


@dataclass
class ModelServer:
    """The endpoint: its address, what it does, what it was asked."""

    url: str
    scripts: dict[str, list[str]] = field(default_factory=dict)  # by a paper's title
    default: str = "ok"
    seconds: float = 0.0  # that an answer takes
    asked: list[Asked] = field(default_factory=list)
    at_once: int = 0  # the most that were answered at the same time
    closing: threading.Event = field(default_factory=threading.Event)
    _busy: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def calls(self) -> Counter[str]:
        """Return how often each paper was asked about, by title."""
        return Counter(asked.title for asked in self.asked)

    def answer(self, body: bytes, headers: dict[str, str]) -> Said:
        """Return what to say to a request."""
        asked = _understood(json.loads(body), headers)
        with self._lock:
            self.asked.append(asked)
            script = self.scripts.get(asked.title, [self.default])
            behaviour = script.pop(0) if len(script) > 1 else script[0]
            self._busy += 1
            self.at_once = max(self.at_once, self._busy)
        try:
            if self.seconds:
                time.sleep(self.seconds)
            return BEHAVIOURS[behaviour](asked)
        finally:
            with self._lock:
                self._busy -= 1


def model_of(server: ModelServer, *, seconds: float = 5.0, key: str = "", audit: Audit | None = None) -> LanguageModel:
    """Return the model at a server, which does not wait between repeats."""
    return LanguageModel(Endpoint(server.url, "parrot-1", key, seconds, pause=lambda _: None), audit)


def _understood(request: dict[str, Any], headers: dict[str, str]) -> Asked:
    paper = json.loads(request["messages"][1]["content"])
    system = request["messages"][0]["content"]
    language = "ko" if re.search("[가-힣]", system) else "en"
    return Asked(paper["title"], paper["abstract"], language, request, headers)


def honest(title: str, abstract: str, language: str) -> list[str]:
    """Return three bullets that say nothing but what the paper says."""
    if language == "ko":
        return _korean(title, abstract)
    plain = re.sub(r"\*\*|\\\\[A-Za-z]+|[${}]", "", abstract)
    found = [each for each in sentences(plain) if len(each) >= 20]
    return [*found, *found[:1] * 3][:3] if found else [f"It is about {title}."] * 3


_THEMES = (
    "Robots drop cups that they grasp. {0} lets a robot arm feel how heavy a cup is. It holds {1}% of all cups.",
    "Speech of old recordings is noisy. {0} removes the noise of wax cylinders by diffusion. Listeners prefer {1}% of them.",
    "Proteins fold in costly ways. {0} predicts how small molecules bind. It is right in {1}% of all cases.",
    "Maps of harbours are outdated when printed. {0} reads satellite images of ships and piers. It finds {1}% of the piers.",
    "Students give up on long proofs in algebra. {0} is a tutor that asks them for the next step. Of all students {1}% finish.",
    "Medical reports mention diseases nobody has. {0} marks what a doctor denied. It notices {1}% of the denials.",
    "Music for films is composed in great haste. {0} writes a melody that follows the rhythm of cuts. It hits {1}% of them.",
    "Traffic lights waste the time of cyclists. {0} learns from vehicles by reinforcement. Waiting fell by {1}% in a town.",
)
_LASTLY = " All that belongs to {0} is public; whoever wants to repeat these experiments finds what they need beside the paper."


def abstract(number: int) -> str:
    """Return an abstract like no other's of the last eight numbers."""
    return (_THEMES[number % len(_THEMES)] + _LASTLY).format(f"Shelf{number}", f"{number}1.5")


_OPENINGS = (
    "저자들은 {0} 문제를 다루며 남은 어려움을 살핍니다.",
    "이 연구는 {0} 분야의 한계가 어디에서 오는지 묻습니다.",
    "기존 방법이 {0} 앞에서 왜 부족한지를 먼저 설명합니다.",
    "출발점은 {0}라는 오래된 과제입니다.",
)
_MIDDLES = (
    "이를 풀기 위해 {0}를 쓰는 방법을 내놓습니다.",
    "{0}를 바탕으로 다시 설계하고 그 까닭을 밝힙니다.",
    "해결책으로 {0}를 들여오고 역할을 따로 나누어 봅니다.",
    "{0}를 중심에 둔 절차를 만들고 널리 확인합니다.",
)
_ENDINGS = (
    "결과를 보면 {0}에서 앞선 방식보다 나아졌습니다{1}.",
    "{0}로 재었을 때 꾸준히 좋아졌습니다{1}.",
    "여러 차례 견주어 {0}의 쓸모를 보였습니다{1}.",
    "끝으로 {0}에 관한 교훈을 정리합니다{1}.",
)
_NAME = re.compile(r"\b[A-Za-z][\w-]*[A-Z0-9][\w-]*\b")
_NUMBER = re.compile(r"(?<![\w.,^{])\d+(?:\.\d+)?%(?!\w)")
_LETTERS = 110  # of the paper's own words; with more the summary would not be Korean


def _korean(title: str, abstract: str) -> list[str]:
    chance = zlib.crc32(title.encode())
    parts = _in_three(_own_words(title, abstract))
    number = next(iter(_NUMBER.findall(abstract)), "")
    return [
        _OPENINGS[chance % 4].format(parts[0]),
        _MIDDLES[chance // 4 % 4].format(parts[1]),
        _ENDINGS[chance // 16 % 4].format(parts[2], f" (수치: {number})" if number else ""),
    ]


def _own_words(title: str, abstract: str) -> list[str]:
    """Return the names of a paper and the words that say what it is about, as they stand."""
    names = [word for word in _NAME.findall(f"{title} {abstract}") if len(word) < 25]
    telling = [word for word in re.findall(r"[A-Za-z][A-Za-z-]{2,20}", f"{title} {abstract}") if topics(word)]
    found = dict.fromkeys([*names[:3], *telling, *re.findall(r"[A-Za-z]{4,20}", title), *names])
    lengths = accumulate(map(len, found))
    return [word for word, length in zip(found, lengths, strict=True) if length <= _LETTERS] or ["arXiv"]


def _in_three(words: Sequence[str]) -> list[str]:
    return [" ".join(words[place::3]) or words[0] for place in range(3)]


def completion(content: Any, *, finish: str = "stop", **message: Any) -> Said:
    """Return a chat completion that says `content`."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
    usage = {"prompt_tokens": 700, "completion_tokens": 150, "total_tokens": 850}
    return _json({"id": "chat-1", "object": "chat.completion", "model": "parrot-1", "choices": [choice], "usage": usage})


def _json(value: Any, status: int = 200, **headers: str) -> Said:
    given = tuple((name.replace("_", "-"), text) for name, text in headers.items())
    return Said(json.dumps(value, ensure_ascii=False).encode(), status, (("Content-Type", "application/json"), *given))


def _bullets(asked: Asked) -> list[str]:
    return honest(asked.title, asked.abstract, asked.language)


def _as_json(bullets: Sequence[Any]) -> str:
    return json.dumps({"bullets": list(bullets)}, ensure_ascii=False)


def _error(status: int, words: str, **headers: str) -> Said:
    return _json({"error": {"message": words, "type": "error", "code": status}}, status, **headers)


_INVENTED = {
    "ko": ["이 논문은 북극 고래의 이동을 다룹니다.", "저자들은 위성으로 바다를 관찰합니다.", "고래는 겨울에 남쪽으로 갑니다."],
    "en": ["It follows whales through the Arctic.", "Satellites watch the sea by night.", "Whales go south in winter."],
}


def _wrong_number(asked: Asked) -> list[str]:
    first, second, _ = _bullets(asked)
    return [
        first,
        second,
        "The best model has 987 billion parameters." if asked.language == "en" else "모델은 987조 개의 매개변수를 씁니다.",
    ]


def _until_plain(complaint: str) -> Callable[[Asked], Said]:
    """Refuse what is asked with a form, as many servers do."""

    def answer(asked: Asked) -> Said:
        return _error(400, complaint) if "response_format" in asked.body else completion(_as_json(_bullets(asked)))

    return answer


def _only_object(asked: Asked) -> Said:
    kind = asked.body.get("response_format", {}).get("type")
    return _error(400, "This response_format type is unavailable now") if kind == "json_schema" else BEHAVIOURS["ok"](asked)


def _picky(asked: Asked) -> Said:
    if "max_tokens" in asked.body:
        return _error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
    if "temperature" in asked.body:
        return _error(400, "Unsupported value: 'temperature' does not support 0.2 with this model.")
    return BEHAVIOURS["ok"](asked)


BEHAVIOURS: Mapping[str, Callable[[Asked], Said]] = {
    "ok": lambda asked: completion(_as_json(_bullets(asked))),
    "in parts": lambda asked: completion([{"type": "text", "text": _as_json(_bullets(asked))}]),
    "uncounted": lambda asked: _json({"choices": [{"message": {"content": _as_json(_bullets(asked))}}]}),
    "fabricated": lambda asked: completion(_as_json(_INVENTED[asked.language])),
    "wrong number": lambda asked: completion(_as_json(_wrong_number(asked))),
    "html": lambda _: Said(b"<!DOCTYPE html><html><body>Welcome</body></html>", headers=(("Content-Type", "text/html"),)),
    "nothing": lambda _: Said(b""),
    "empty": lambda _: completion(""),
    "null": lambda _: completion(None),
    "empty choices": lambda _: _json({"choices": []}),
    "no completion": lambda _: _json(["pong"]),
    "truncated": lambda asked: completion(_as_json(_bullets(asked))[:-20]),
    "refusal": lambda _: completion(None, refusal="I'm sorry, I can't help with that."),
    "content_filter": lambda _: completion("", finish="content_filter"),
    "length": lambda asked: completion(_as_json(_bullets(asked))[:40], finish="length"),
    "fence": lambda asked: completion(f"Here you are:\n```json\n{_as_json(_bullets(asked))}\n```\nAnything else?"),
    "think": lambda asked: completion(f'<think>Is it {{"bullets": []}}? No.</think>\n\n{_as_json(_bullets(asked))}'),
    "endless thought": lambda _: completion("<think>Let me see. Then again, "),
    "bare list": lambda asked: completion(json.dumps(_bullets(asked), ensure_ascii=False)),
    "dashes": lambda asked: completion("\n".join(f"- {bullet}" for bullet in _bullets(asked))),
    "prose": lambda _: completion("I think that this paper is rather interesting."),
    "nested": lambda asked: completion(_as_json([{"key": "Aim", "text": bullet} for bullet in _bullets(asked)])),
    "control": lambda asked: completion(_as_json([f"\benchmarks \frac: {bullet}" for bullet in _bullets(asked)])),
    "key 200": lambda _: _json({"error": {"message": f"Incorrect API key provided: {KEY}", "code": 401}}),
    "error 200": lambda _: _json({"error": {"message": "upstream said no", "code": "odd"}}),
    "busy 200": lambda _: _json({"error": {"message": "Provider returned error", "code": 429}}),
    "400 response_format": _until_plain("Invalid 'response_format' of type json_schema"),
    "422 anything": _until_plain("Unprocessable Entity"),
    "only json_object": _only_object,
    "picky": _picky,
    "400": lambda _: _error(400, "something about this one"),
    "400 too long": lambda _: _error(400, "This model's maximum context length is 4096 tokens."),
    "400 filtered": lambda _: _error(400, "The response was filtered by the content management policy."),
    "401": lambda _: _error(401, f"Incorrect API key provided: {KEY}"),
    "402": lambda _: _error(402, "Insufficient credits"),
    "404": lambda _: _error(404, "The model `parrot-1` does not exist"),
    "429": lambda _: _error(429, "Rate limit reached", Retry_After="3600"),
    "429 soon": lambda _: _error(429, "Rate limit reached", Retry_After="0"),
    "429 quota": lambda _: _error(429, "You exceeded your current quota: insufficient_quota"),
    "500": lambda _: _error(500, "The server had an error"),
    "hang": lambda _: Said(hang=True),
    "drip": lambda _: Said(b'{"choices": [', drip=True),
    "redirect": lambda _: Said(status=307, headers=(("Location", "http://127.0.0.1:9/elsewhere"),)),
    "huge": lambda _: Said(b" " * 3_000_000),
}


@contextmanager
def model_server(
    scripts: Mapping[str, Sequence[str]] | None = None, *, default: str = "ok", port: int = 0
) -> Iterator[ModelServer]:
    """Serve until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/chat/completions"
            _write(self, served.answer(body, dict(self.headers)), served.closing)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    served = ModelServer(
        f"http://127.0.0.1:{server.server_address[1]}/v1",
        {title: list(script) for title, script in (scripts or {}).items()},
        default,
    )
    with serving(server):
        try:
            yield served
        finally:
            served.closing.set()


def _write(handler: BaseHTTPRequestHandler, said: Said, closing: threading.Event) -> None:
    try:
        if said.hang:
            closing.wait(60)
            return
        handler.send_response(said.status)
        for name, value in said.headers:
            handler.send_header(name, value)
        if not said.drip:
            handler.send_header("Content-Length", str(len(said.body)))
        handler.end_headers()
        handler.wfile.write(said.body)
        while said.drip and not closing.wait(0.05):
            handler.wfile.write(b" ")
    except OSError:
        return  # whoever asked has gone
