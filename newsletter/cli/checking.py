"""`newsletter summaries check`: a verdict on each line of a file, as it is read; no settings, no database."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from newsletter.errors import BadInput

if TYPE_CHECKING:
    from newsletter.summarisers.audit import Audit

_TEXTS = ("id", "language", "title", "abstract")


def check(
    file: Annotated[str, typer.Argument(help="Lines of JSON: id, language, title, abstract, bullets; - is standard input.")],
    strict: Annotated[
        bool, typer.Option("--strict", help="As for our own: made from title and abstract alone, every number stands in them.")
    ] = False,
    audit: Annotated[
        bool, typer.Option("--audit", help="Ask an embedding model too (make audit installs it; about a second a line).")
    ] = False,
) -> None:
    """Say of each summary in a file whether it may be used, and what speaks against it: a line of JSON for each, in order.

    A line that cannot be read gets a line that says so, and the exit code is 1 at the end.
    """
    with ExitStack() as stack:
        lines: Iterable[bytes] = sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))
        unread = 0
        for verdict in verdicts(lines, strict=strict, audit=_audit() if audit else None):
            unread += "error" in verdict
            typer.echo(json.dumps(verdict, ensure_ascii=False))
    if unread:
        raise BadInput(
            f"{file}: {unread} {'line' if unread == 1 else 'lines'} could not be read.",
            hint="Each line is an object with id, language, title, abstract (texts) and bullets (texts, or one with many lines).",
        )


def verdicts(lines: Iterable[bytes], *, strict: bool, audit: "Audit | None" = None) -> Iterator[dict[str, Any]]:
    """Yield what is said of each line: id, passes and reasons; or error and line for one that cannot be read."""
    from newsletter.summarisers import SummaryInput, checks
    from newsletter.summarisers.checks.copies import Seen

    seen = Seen()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            given = _given(line)
        except ValueError as error:
            yield {"line": number, "error": str(error)}
            continue
        paper, bullets = SummaryInput(given["title"], given["abstract"]), given["bullets"]
        reasons = list(checks.check(paper, bullets, language=given["language"], strict=strict).reasons)
        if audit and not any(each.rule in {"source", "about"} for each in reasons):
            reasons += [strange] if (strange := audit.reason(paper, bullets)) else []
        if not reasons:  # what is refused speaks against no other; and one paper may have several summaries in a file
            copied = seen.add(" ".join(given["title"].casefold().split()), bullets)
            reasons += [copied] if copied else []
        told = [{"rule": each.rule, "sentence": each.sentence, "words": list(each.words)} for each in reasons]
        yield {"id": given["id"], "passes": not reasons, "reasons": told}


def _given(line: bytes) -> dict[str, Any]:
    """Return what a line says; raises ValueError with what is wrong with it."""
    try:
        given = json.loads(line.decode("utf-8-sig"))
        json.dumps(given, ensure_ascii=False).encode()  # what is said of it may quote it
    except UnicodeDecodeError:
        raise ValueError("The line is not UTF-8.") from None
    except UnicodeEncodeError:
        raise ValueError("The line holds half a character, as \\ud83d.") from None
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"The line is no JSON: {error}.") from None
    if not isinstance(given, dict):
        raise ValueError("The line is no JSON object.")  # noqa: TRY004 -- the caller takes one kind
    given = {"abstract": "", **{key: value for key, value in given.items() if value is not None}}
    given["id"] = str(given["id"]) if isinstance(given.get("id"), int) else given.get("id")
    if wrong := [name for name in _TEXTS if not isinstance(given.get(name), str)]:
        raise ValueError(f"{', '.join(wrong)}: missing, or no text.")
    if isinstance(given.get("bullets"), str):  # a text with a bullet on each line
        given["bullets"] = [line for line in given["bullets"].splitlines() if line.strip()]
    if not isinstance(given.get("bullets"), list) or not all(isinstance(bullet, str) for bullet in given["bullets"]):
        raise ValueError("bullets: missing, or neither a list of texts nor a text.")
    return given


def _audit() -> "Audit":
    from newsletter.summarisers import audit

    loaded = audit.load()
    typer.echo(f"The audit first reads {len(audit.FIELD)} texts to compare with, then each summary: some seconds.", err=True)
    return loaded
