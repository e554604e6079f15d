"""What is promised, and whether it was kept: the mail server's book beside the ledger."""

from dataclasses import asdict, dataclass, field
from typing import Any

from helpers import Counted


@dataclass
class Result:
    """What a scenario saw. `inside_data` counts the kills that broke a connection within DATA or before the answer to it."""

    scenario: str
    database: str
    policy: str
    kills: int
    expected: int
    reached: int = 0
    lost: int = 0
    duplicates: int = 0
    unknown: int = 0
    held: int = 0
    seconds: float = 0.0
    inside_data: int = 0
    settled_late: int = 0  # unknown, and then an answer that came to light
    allowed_unknown: int = 0
    broken: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it for faults.json."""
        return asdict(self)


@dataclass(frozen=True)
class Seen:
    """What both sides know in the end; deliveries by their ids."""

    expected: dict[str, tuple[int, str]]  # delivery and address by Message-ID
    counted: Counted
    traces: list[tuple[int, str, str]]
    left: dict[int, str]  # the state of each delivery that is not sent


def judge(result: Result, seen: Seen) -> Result:
    """Fill in the numbers and the promises that were broken."""
    number_of = {name: number for name, (number, _) in seen.expected.items()}
    accepted = {number_of[name] for name in seen.counted.accepted if name in number_of}
    twice = {number_of[name] for name in seen.counted.twice if name in number_of}
    unknown = {number for number, _, after in seen.traces if after == "unknown"}
    held = {number for number, state in seen.left.items() if state == "held"}
    everybody = set(number_of.values())
    listed = unknown if result.policy == "hold" else held

    result.expected, result.reached = len(everybody), len(accepted)
    result.lost = len(everybody - accepted - listed)
    result.duplicates, result.unknown, result.held = len(twice), len(unknown), len(held)
    result.settled_late = sum(before in {"unknown", "held"} and after == "sent" for _, before, after in seen.traces)
    result.broken += [words for words, wrong in _questions(result, seen, twice - unknown, held - unknown).items() if wrong]
    return result


def _questions(result: Result, seen: Seen, unlisted: set[int], unexplained: set[int]) -> dict[str, object]:
    """Return what would be wrong, in words, and whether it is."""
    strange = set(seen.counted.accepted) - set(seen.expected)
    renamed = {address for address, names in seen.counted.recipients.items() if len(names) > 1}
    stuck = {number: state for number, state in seen.left.items() if state != "held"}
    return {
        f"{result.lost} readers are neither reached nor listed": result.lost,
        f"{len(unlisted)} readers may have got two mails and were never unknown": unlisted,
        f"{result.duplicates} readers may have got two mails under the policy hold": result.policy == "hold"
        and result.duplicates,
        f"{result.unknown} unknown are more than {result.allowed_unknown}": result.unknown > result.allowed_unknown,
        f"{len(unexplained)} are held and were never unknown": unexplained,
        f"{len(strange)} mails went out that nobody is owed": strange,
        f"{len(renamed)} readers got one mail under two Message-IDs": renamed,
        f"stuck: {dict(list(stuck.items())[:9])}": stuck,
    }
