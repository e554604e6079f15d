"""Whether the endpoint was asked only where there was something to ask, what came of it, and whether the bill is right."""

from collections import Counter, defaultdict
from datetime import date
from typing import TYPE_CHECKING

from almanac import Almanac
from book import Book
from made_up import MadeUp
from sites import BEHAVIOURS, HARMLESS, USED, Sites, behaviour_of, name_of, order_of, says_usage
from works import AT_ONCE, DAILY_TOKENS, PRICES

from newsletter.models import AttemptStatus, SummaryOrigin
from newsletter.summaries.attempts import DIED

if TYPE_CHECKING:
    from reckoning import Account

_INVENTED = 0.4  # of invented summaries that the checks may miss which know words alone; the audit finds more
_LARGEST_CALL = 2_500  # tokens of one call of ours, in and out


def reckon_calls(account: "Account", book: Book, almanac: Almanac, sites: Sites) -> None:
    """Count for each behaviour how its papers were told; nothing may be asked about what cannot be told."""
    titles = {row.source_id: row.title for row in book.papers.values()}  # as the endpoint is told them
    known = {name_of(titles.get(paper.number, paper.title)): paper for paper in almanac.papers()}
    calls = Counter(call.title for call in sites.calls)
    untellable = {name for name, paper in known.items() if not paper.tellable}
    asked = sorted(name for name in untellable if calls[name])
    account.figures["papers without a source, asked about"] = f"{len(untellable)}, {len(asked)}"
    account.promise(not asked, f"the model was asked about papers that say nothing: {asked[:9]}")
    told = _told(book)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for name, paper in known.items():
        if not paper.tellable:
            continue
        row = counts[_behaviour(name)]
        row["papers"] += 1
        row["calls"] += calls[name]
        for language in ("ko", "en"):
            row[told.get((paper.number, language), "untold")] += 1
    names = ("papers", "calls", "model", "extract", "none", "untold")
    met = [each for each in ("ok", *BEHAVIOURS) if each in counts]
    rows = [{"the endpoint": each, **{name: counts[each][name] for name in names}} for each in met]
    account.tables["how papers were told, by what the endpoint did with them (two languages)"] = rows
    for each in met:
        believed = counts[each]["model"] / max(1, counts[each]["model"] + counts[each]["extract"])
        allowed = 1.0 if each in HARMLESS else _INVENTED if each == "fabricated" else 0.0
        account.promise(believed <= allowed, f"what the endpoint said was believed: {each}, {believed:.0%}")
    by_oddity = _by_oddity(known, told)
    account.tables["how odd papers were told"] = by_oddity


def _behaviour(name: str) -> str:
    return behaviour_of(name, order_of(name))


def _told(book: Book) -> dict[tuple[str, str], str]:
    """Return how each paper was told in its daily issue, by arXiv id and language."""
    found = {}
    for row in book.placed:
        issue = book.issues[row.issue_id]
        if issue.cadence.value != "daily":
            continue
        language = next(each.language for each in book.audience.newsletters.values() if each.id == issue.newsletter_id)
        summary = book.summaries.get(row.summary_id or 0)
        found[book.papers[row.paper_id].source_id, language] = summary.origin.value if summary else "none"
    return found


def _by_oddity(known: dict[str, MadeUp], told: dict[tuple[str, str], str]) -> list[dict[str, object]]:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for paper in known.values():
        row = counts[paper.oddity or ("captured" if paper.given else "plain")]
        row["papers"] += 1
        for language in ("ko", "en"):
            row[told.get((paper.number, language), "untold")] += 1
    names = ("papers", "model", "extract", "none", "untold")
    return [{"oddity": each, **{name: row[name] for name in names}} for each, row in sorted(counts.items())]


def reckon_usage(account: "Account", book: Book, sites: Sites, *, kills: int) -> None:
    """Hold our count of calls, tokens and cost against the endpoint's own, and the days against the budget."""
    died = [row for row in book.attempts if DIED in row.reasons]
    ours, theirs = sum(row.calls for row in book.attempts), len(sites.calls)
    account.figures["calls, by our count and the endpoint's"] = f"{ours}, {theirs}"
    account.figures["attempts of workers that died"] = len(died)
    # A killed worker's attempt counts as one call, and had up to three behind it; one it ended just before is not told at all.
    account.promise(-2 * AT_ONCE * kills <= theirs - ours <= 4 * AT_ONCE * kills, f"calls differ: {ours} here, {theirs} there")
    told = sum(sum(USED) for call in sites.calls if says_usage(call))
    counted = sum(row.input_tokens + row.output_tokens for row in book.attempts)
    account.figures["tokens, by our count and as far as the endpoint told"] = f"{counted}, {told}"
    account.promise(counted >= told - kills * AT_ONCE * _LARGEST_CALL, "the endpoint counted more tokens than we did")
    _reckon_exact(account, book, sites)
    cost = sum(row.cost_micros for row in book.attempts)
    reckoned = sum(round(row.input_tokens * PRICES[0] + row.output_tokens * PRICES[1]) for row in book.attempts)
    account.figures["cost in millionths"] = cost
    account.promise(cost == reckoned, f"cost is {cost}, and its tokens cost {reckoned}")
    _reckon_budget(account, book)


def _reckon_exact(account: "Account", book: Book, sites: Sites) -> None:
    """Compare to the token the papers of which every answer said what it used, and no attempt died."""
    calls: dict[str, list[bool]] = defaultdict(list)
    for call in sites.calls:
        calls[call.title].append(says_usage(call))
    ours: Counter[str] = Counter()
    unsure = set()
    for row in book.attempts:
        name = name_of(book.papers[row.paper_id].title)
        ours[name] += row.input_tokens + row.output_tokens
        if DIED in row.reasons:
            unsure.add(name)
    exact = {name: sum(USED) * len(each) for name, each in calls.items() if all(each) and name not in unsure}
    wrong = {name: (ours[name], tokens) for name, tokens in exact.items() if ours[name] != tokens}
    account.figures["papers whose tokens agree to one, of those that can"] = f"{len(exact) - len(wrong)} of {len(exact)}"
    account.promise(not wrong, f"tokens differ: {list(wrong.items())[:5]}")


def _reckon_budget(account: "Account", book: Book) -> None:
    days: Counter[date] = Counter()
    for row in book.attempts:
        days[row.began_at.date()] += row.input_tokens + row.output_tokens
    most = max(days.values(), default=0)
    allowed = DAILY_TOKENS + AT_ONCE * _LARGEST_CALL
    full = sum(alarm.cause == "budget:summaries" for alarm in book.alarms)
    account.figures["most tokens of a day, budget, days it was spent"] = f"{most}, {DAILY_TOKENS}, {full}"
    account.promise(most <= allowed, f"a day used {most} tokens of {DAILY_TOKENS}")
    states = Counter(row.status for row in book.attempts)
    account.promise(not states[AttemptStatus.RUNNING], f"{states[AttemptStatus.RUNNING]} attempts never ended")
    origins = Counter(row.origin for row in book.summaries.values())
    made = states[AttemptStatus.MADE]
    account.figures["attempts"] = {status.value: number for status, number in sorted(states.items())}
    account.promise(origins[SummaryOrigin.MODEL] == made, f"{made} attempts made {origins[SummaryOrigin.MODEL]} summaries")
