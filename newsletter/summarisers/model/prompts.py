"""What the model is told: instructions of ours in the system message, the paper as data in a message of its own.

`templates/prompts/<language>.txt` holds a language's prompt: its version, the instructions, and after `== repair ==` what
is said when an answer cannot be used. A language without a file is asked for in English.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from newsletter import i18n, paths
from newsletter.summarisers import SummaryInput

LONGEST_SOURCE = 12_000  # characters of an abstract that are sent; what is checked is what was sent
_OTHERWISE = "en"
_VERSION = re.compile(r"version: (\S+)\n")
# Marks that chat templates and tokenizers take for their own: <|im_end|>, <think>, </s>, <start_of_turn>, [INST], <<SYS>>.
_ANGLED = re.compile(r"<(?=[|｜/!<A-Za-z_])([^<>\n]{0,100})>|<\||\|>|<<|>>")
_BRACKETED = re.compile(
    r"\[(/?(?:INST|SYS|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|PREFIX|SUFFIX|MIDDLE|IMG|THINK)\d*)\]"
)
_OTHER_BRACKETS = str.maketrans("<>", "‹›")
SCHEMA = {
    "type": "object",
    "properties": {"bullets": {"type": "array", "items": {"type": "string"}}},
    "required": ["bullets"],
    "additionalProperties": False,
}
_AS_JSON = '\n\nAnswer with one JSON object and nothing else: {"bullets": ["…", "…", "…"]}'

Message = dict[str, str]


@dataclass(frozen=True)
class Prompt:
    """A language's instructions, and what is said when an answer cannot be used."""

    version: str  # as "ko-1": changes with every change of the words
    instructions: str
    repair: str


@cache
def prompt_of(language: str) -> Prompt:
    """Return the prompt of a language: its own, its base language's, or the English one that names the language."""
    names = [language, language.partition("-")[0], _OTHERWISE]
    name = next(name for name in names if (paths.templates() / "prompts" / f"{name}.txt").is_file())
    content = (paths.templates() / "prompts" / f"{name}.txt").read_text(encoding="utf-8")
    instructions, _, repair = content.partition("\n== repair ==\n")
    version = _VERSION.match(instructions)
    if version is None:
        raise ValueError(f"prompts/{name}.txt does not begin with its version")
    label = f"{name}-{version[1]}" + (f"-{language}" if name not in names[:2] else "")
    told = instructions[version.end() :].replace("{language}", _name_of(language))
    return Prompt(label, told.strip(), repair.strip())


def _name_of(language: str) -> str:
    return i18n.locale_of(language).get_display_name("en") or "English"


def sent(paper: SummaryInput) -> SummaryInput:
    """Return what of a paper the model is sent: bounded, without marks that it would take for its own."""
    return SummaryInput(neutral(paper.title[:1000]), neutral(paper.abstract[:LONGEST_SOURCE]))


def neutral(text: str) -> str:
    """Return the text with the special tokens of chat templates as ordinary words; all else stands as it is."""
    without = _ANGLED.sub(lambda found: found[0].translate(_OTHER_BRACKETS), text)
    return _BRACKETED.sub(r"(\1)", without)


def opening(prompt: Prompt, paper: SummaryInput) -> list[Message]:
    """Return the messages that ask for a summary; the form stands in words too, for servers that pass over the schema."""
    data = json.dumps({"title": paper.title, "abstract": paper.abstract}, ensure_ascii=False)
    return [{"role": "system", "content": prompt.instructions + _AS_JSON}, {"role": "user", "content": data}]


def repairing(prompt: Prompt, answer: str, reasons: Sequence[str]) -> list[Message]:
    """Return the messages that give an unusable answer back with what is wrong with it."""
    listed = "\n".join(f"- {neutral(' '.join(reason.split()))[:500]}" for reason in reasons)
    return [
        {"role": "assistant", "content": neutral(answer[:4000]) or "(nothing)"},
        {"role": "user", "content": prompt.repair.replace("{reasons}", listed)},
    ]
