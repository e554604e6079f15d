"""How an endpoint wants to be asked: many take less than the protocol has. What was learned of one is kept by its process."""

import re
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from newsletter.summarisers.model.prompts import SCHEMA

_FORMAT = re.compile(
    r"response_?format|json[_ ]?schema|json_object|structured output|grammar|guided|requested parameters", re.IGNORECASE
)


class Rung(IntEnum):
    """How the form of an answer is asked for, the strictest first."""

    SCHEMA = 0
    OBJECT = 1
    TEXT = 2


@dataclass(frozen=True)
class Manner:
    """What a request says beside its messages."""

    rung: Rung = Rung.SCHEMA
    limit: str = "max_tokens"  # or "max_completion_tokens"
    temperature: bool = True
    seed: bool = True

    def fields(self, *, most: int, seed: int) -> dict[str, Any]:
        """Return the fields of a request."""
        fields: dict[str, Any] = {"stream": False, self.limit: most}
        if self.temperature:
            fields["temperature"] = 0.2
        if self.seed:
            fields["seed"] = seed
        if self.rung is Rung.SCHEMA:
            schema = {"name": "summary", "strict": True, "schema": SCHEMA}
            fields["response_format"] = {"type": "json_schema", "json_schema": schema}
        elif self.rung is Rung.OBJECT:
            fields["response_format"] = {"type": "json_object"}
        return fields


def is_about_form(complaint: str) -> bool:
    """Tell whether a server's words are about the form that was asked for."""
    return bool(_FORMAT.search(complaint))


def adapted(manner: Manner, complaint: str) -> Manner | None:
    """Return how to ask after a request was refused with these words; None where there is nothing left to do without.

    What is not named is taken for the form: some servers say no more than "bad request".
    """
    if not is_about_form(complaint):
        if manner.limit == "max_tokens" and "max_completion_tokens" in complaint:
            return replace(manner, limit="max_completion_tokens")
        if manner.temperature and "temperature" in complaint:
            return replace(manner, temperature=False)
        if manner.seed and re.search(r"\bseed\b", complaint):
            return replace(manner, seed=False)
    return replace(manner, rung=Rung(manner.rung + 1)) if manner.rung < Rung.TEXT else None
