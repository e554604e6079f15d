"""Whether each paper was told once, each reader got their mails once, each outage was told of, and nothing unchecked went out."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from almanac import HOUR, Almanac, Trouble
from audience import ENGLISH, KOREAN
from book import Book
from made_up import FEED, MadeUp
from post import Mail, Post
from sites import Sites, says_usage
from works import AT_ONCE, OPERATOR

from newsletter import i18n
from newsletter.issues.periods import cutoff_of, period_of
from newsletter.lifecycle import DeliveryStatus, IssueStatus
from newsletter.mail.selecting import HTML_BUDGET
from newsletter.models import Alarm, Cadence, Delivery, DeliveryKind, Emptiness, Issue, SummaryOrigin
from newsletter.summarisers import SummaryInput, checks

if TYPE_CHECKING:
    from reckoning import Account

OUT = (IssueStatus.PUBLISHED, IssueStatus.SENT)
_LATENESS = ((1, "within an hour"), (3, "within 3"), (7, "within 7"), (24, "within 24"), (9999, "later"))
_EASED = 4 * HOUR  # after which trouble that is over must be known to be
_LONG = 13 * HOUR  # in which arXiv is missed


def listed(almanac: Almanac) -> dict[str, dict[str, date]]:
    """Return the papers that each newsletter's sources listed, by arXiv id, and on which day first."""
    first: dict[str, date] = {}
    for day, rows in almanac.lists.items():
        for row in rows:
            first[row.paper.number] = min(day, first.get(row.paper.number, day))
    feed = {paper.number: day for day, papers in almanac.feeds.items() for paper in papers}
    return {KOREAN.slug: first, ENGLISH.slug: {**feed, **first}}


def reckon_issues(account: "Account", book: Book, almanac: Almanac) -> None:
    """Look for papers that were lost or told twice, for empty issues that went out, and at how late issues were."""
    for slug, expected in listed(almanac).items():
        out = [issue for issue in book.issues.values() if book.slug_of(issue) == slug and issue.status in OUT]
        daily = [issue for issue in out if issue.cadence is Cadence.DAILY]
        told = Counter(book.papers[number].source_id for issue in daily for number in book.papers_of(issue))
        lost, twice = sorted(set(expected) - set(told)), sorted(number for number, times in told.items() if times > 1)
        account.figures |= {
            f"{slug}: papers listed": len(expected),
            f"{slug}: papers told": len(told),
            f"{slug}: papers lost, told twice, foreign": f"{len(lost)}, {len(twice)}, {len(set(told) - set(expected))}",
            f"{slug}: daily issues, weekly, of several days": (
                f"{len(daily)}, {len(out) - len(daily)}, {sum(issue.first_day < issue.last_day for issue in daily)}"
            ),
        }
        account.promise(not lost, f"{slug}: listed and never told: {[(number, str(expected[number])) for number in lost[:9]]}")
        account.promise(not twice, f"{slug}: told twice: {twice[:9]}")
        account.promise(set(told) <= set(expected), f"{slug}: never listed: {sorted(set(told) - set(expected))[:9]}")
        _reckon_calendar(account, book, almanac, slug, daily)
    stuck = Counter(issue.status.value for issue in book.issues.values() if issue.status not in (*OUT, IssueStatus.EMPTY))
    account.promise(not stuck, f"issues that stay half made: {dict(stuck)}")


def _reckon_calendar(account: "Account", book: Book, almanac: Almanac, slug: str, daily: list[Issue]) -> None:
    days = [day for day, rows in almanac.lists.items() if rows]
    told = {day for issue in daily for day in _days_of(issue)}
    account.promise(all(book.papers_of(issue) for issue in daily), f"{slug}: an issue without a paper went out")
    own = [issue for issue in book.issues.values() if book.slug_of(issue) == slug]
    failed = {issue.first_day for issue in own if issue.emptiness is Emptiness.FAILED}
    account.figures[f"{slug}: days without an issue, as the list failed"] = len(set(days) & failed)
    account.promise(set(days) <= told | failed, f"{slug}: no issue for {sorted(set(days) - told - failed)[:9]}")
    newsletter = book.audience.newsletters[slug]
    late: Counter[str] = Counter()
    for issue in daily:
        assert issue.published_at is not None
        cutoff = cutoff_of(newsletter, period_of(Cadence.DAILY, issue.last_day))
        hours = (issue.published_at - cutoff) / HOUR
        late[next(name for most, name in _LATENESS if hours <= most + 0.1)] += 1
    rows = account.tables.setdefault("daily issues after their cut-off, in hours", [])
    rows.append({"newsletter": slug, **{name: late[name] for _, name in _LATENESS}})


def _days_of(issue: Issue) -> Iterator[date]:
    day = issue.first_day
    while day <= issue.last_day:
        yield day
        day += timedelta(days=1)


def reckon_alarms(account: "Account", book: Book, almanac: Almanac, post: Post, sites: Sites) -> None:
    """Look whether each outage was told of, no quiet day was, and all alarms ended and were mailed once."""
    account.figures["alarms"] = dict(Counter(re.sub(r":\d+$", "", alarm.cause) for alarm in book.alarms))
    told = 0
    for trouble in almanac.troubles:
        cause = _cause_of(trouble)
        found = [alarm for alarm in book.alarms if alarm.cause == cause and _in_time(alarm, trouble)]
        if trouble.what == "model" and not _was_asked(trouble, sites):
            cause = ""
        told += bool(found or not cause)
        account.promise(found or not cause, f"nobody was told of {trouble.what} {trouble.how} from {trouble.begins}")
        seen = _over(trouble, sites) + _EASED + _off(almanac, trouble)
        in_time = any(each.closed_at and each.closed_at <= seen for each in found)
        closed = [str(each.closed_at) for each in found]
        account.promise(not found or in_time, f"{cause} of {trouble.begins} was closed at {closed}, and could be at {seen}")
    account.figures["outages, told of or too short to tell"] = f"{len(almanac.troubles)}, {told}"
    left = [alarm.cause for alarm in book.alarms if alarm.closed_at is None]
    account.promise(not left, f"alarms that were never closed: {left[:9]}")
    mails = Counter(mail.message_id for mail in post.mails if mail.recipient == OPERATOR)
    account.figures["alarms mailed"] = len(mails)
    account.promise(len(mails) <= len(book.alarms), "more alarms were mailed than raised")


def _cause_of(trouble: Trouble) -> str:
    """Return the cause of the alarm that a trouble must raise, "" for one that nobody needs to hear of."""
    if trouble.what == "list":
        return "source:huggingface"
    if trouble.what == "arxiv":
        return f"source:arxiv:{FEED}" if trouble.ends - trouble.begins >= _LONG else ""
    if trouble.what == "model":
        return "model:misconfigured" if trouble.how == ("401",) else "model:away" if trouble.how != ("429",) else ""
    return ""


def _in_time(alarm: Alarm, trouble: Trouble) -> bool:
    return trouble.begins - HOUR <= alarm.opened_at <= trouble.ends + HOUR or (
        alarm.opened_at <= trouble.begins and (alarm.closed_at is None or alarm.closed_at >= trouble.begins)
    )


def _was_asked(trouble: Trouble, sites: Sites) -> bool:
    """Whether the endpoint was asked often enough meanwhile: one call without an answer may be that paper's."""
    return sum(trouble.begins <= call.at < trouble.ends for call in sites.calls) > AT_ONCE


def _over(trouble: Trouble, sites: Sites) -> datetime:
    """Return when it could be known that a trouble was over: of the endpoint when it was asked next and answered."""
    answers = (call.at for call in sites.calls if call.at >= trouble.ends and says_usage(call))
    return next(answers, trouble.ends) if trouble.what == "model" else trouble.ends


def _off(almanac: Almanac, trouble: Trouble) -> timedelta:
    """Return how long the installation was off right after a trouble: nobody could see its end."""
    return sum(
        (each.ends - each.begins for each in almanac.troubles if each.what == "all" and each.begins >= trouble.begins - HOUR),
        timedelta(0),
    )


def reckon_mails(account: "Account", book: Book, post: Post, almanac: Almanac) -> None:
    """Look whether each reader got what there was for them, once, and whether it is whole."""
    taken: dict[str, list[Mail]] = defaultdict(list)
    for mail in post.mails:
        taken[mail.message_id].append(mail)
    digests = [row for row in book.deliveries.values() if row.kind is DeliveryKind.DIGEST]
    ours = {book.message_id(row): row for row in book.deliveries.values()}
    foreign = [name for name in taken if name not in ours]
    account.promise(not foreign, f"mails that nobody is owed: {foreign[:3]}")
    sent = {name for name, row in ours.items() if row.status is DeliveryStatus.SENT}
    wrong = sent ^ (set(ours) & set(taken))
    account.promise(
        not wrong,
        f"mails taken and not on record as sent, or the other way round: {[vars(ours[name]) for name in list(wrong)[:2]]}",
    )
    again = {name: len(mails) for name, mails in taken.items() if len(mails) > 1}
    account.figures["mails taken, resent after a doubt"] = f"{len(post.mails)}, {sum(again.values()) - len(again)}"
    account.figures["digests by state"] = dict(Counter(f"{row.status.value} {row.reason}".strip() for row in digests))
    seen = [mails[0] for name, mails in taken.items() if name in ours and ours[name].kind is DeliveryKind.DIGEST]
    account.figures["largest HTML, in bytes"] = max((mail.html_bytes for mail in seen), default=0)
    account.promise(all(mail.html_bytes < HTML_BUDGET for mail in seen), "a mail is longer than is shown whole")
    account.promise(all(mail.can_leave for mail in seen), "a mail has no link to unsubscribe by")
    _reckon_readers(account, book, digests, {name: mails[0] for name, mails in taken.items() if mails}, almanac)


def _reckon_readers(account: "Account", book: Book, digests: list[Delivery], taken: dict[str, Mail], almanac: Almanac) -> None:
    """Hold each reader's mails against what we would have sent them ourselves."""
    truth = {paper.number: paper for paper in almanac.papers()}
    by_reader: dict[int, dict[int, Delivery]] = defaultdict(dict)
    for row in digests:
        if row.subscription_id is not None and row.issue_id is not None:
            by_reader[row.subscription_id][row.issue_id] = row
    for number, reader in book.audience.readers.items():
        newsletter = book.audience.newsletters[reader.newsletter]
        ours = [each for each in book.issues.values() if each.newsletter_id == newsletter.id and each.status in OUT]
        owed = [each for each in ours if each.cadence is reader.cadence]
        counts: Counter[str] = Counter()
        for issue in owed:
            delivery = by_reader[number].get(issue.id)
            mail = taken.get(book.message_id(delivery)) if delivery else None
            wanted = _wanted(book, issue, reader.wish, truth)
            must = bool(wanted) or newsletter.no_match.value == "short"
            counts["owed"] += must
            counts["got"] += mail is not None
            given_up = delivery is not None and _is_given_up(delivery, almanac)
            counts["given up while off"] += given_up
            counts["missed"] += must and mail is None and not given_up
            counts["unasked"] += mail is not None and not must
            most = reader.wish.get("max_papers")
            counts["too long"] += bool(mail and most and len(mail.cards) > most)
            counts["cards"] += len(mail.cards) if mail else 0
            counts["wrong papers"] += bool(mail and wanted and reader.wish and not set(mail.cards) <= wanted)
        rows = account.tables.setdefault("readers", [])
        names = ("owed", "got", "given up while off", "missed", "unasked", "too long", "wrong papers", "cards")
        who = {"reader": reader.name, "newsletter": reader.newsletter, "wish": str(reader.wish or "everything")}
        rows.append({**who, **{name: counts[name] for name in names}})
        for name in ("missed", "unasked", "too long", "wrong papers"):
            account.promise(not counts[name], f"{reader.name}: {counts[name]} mails {name}")


def _is_given_up(delivery: Delivery, almanac: Almanac) -> bool:
    """Whether a mail had its time while the installation was off, and none was left when it came back."""
    off = [each for each in almanac.troubles if each.what == "all"]
    return delivery.status is DeliveryStatus.FAILED and any(each.begins <= delivery.give_up_at <= each.ends for each in off)


def _wanted(book: Book, issue: Issue, wish: Mapping[str, object], truth: Mapping[str, MadeUp]) -> set[int]:
    """Return which papers of an issue are for a reader, by what the papers are, not by what we made of them."""
    topics, words = {str(each) for each in _list(wish.get("topics"))}, {str(each) for each in _list(wish.get("keywords"))}
    papers = book.papers_of(issue)
    if not (topics or words):
        return set(papers)
    found = set()
    for number in papers:
        paper = truth[book.papers[number].source_id]
        text = f"{paper.title} {paper.abstract}".lower()
        if topics & set(paper.categories) or any(word in text for word in words):
            found.add(number)
    return found


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def reckon_summaries(account: "Account", book: Book, post: Post) -> None:
    """Look whether whatever a model wrote was checked, and whether every mail says how each summary came about."""
    counts: Counter[str] = Counter()
    for row in book.placed:
        issue = book.issues[row.issue_id]
        if issue.status not in OUT:
            continue
        summary, paper = book.summaries.get(row.summary_id or 0), book.papers[row.paper_id]
        if summary is None:
            counts["none"] += 1
        elif summary.origin is SummaryOrigin.MODEL:
            language = "ko" if book.slug_of(issue) == KOREAN.slug else "en"
            verdict = checks.check(SummaryInput(title=paper.title, abstract=paper.abstract), summary.bullets, language=language)
            counts["by the model"] += 1
            counts["by the model, unchecked"] += not summary.checks.get("passed")
            counts["by the model, would fail now"] += not verdict.passes
        else:
            counts["from the abstract"] += 1
    account.figures["papers told in issues"] = dict(counts)
    account.promise(not counts["by the model, unchecked"], "a summary went out that no check has passed")
    account.promise(not counts["by the model, would fail now"], "a summary went out that fails the checks of its paper as it is")
    unmarked = _unmarked(book, post)
    account.figures["summaries in mails that are not marked"] = unmarked
    account.promise(not unmarked, "a summary in a mail does not say how it was made")


def _unmarked(book: Book, post: Post) -> int:
    """Return how many cards more there are in mails than marks and papers without a summary."""
    marks = {slug: _marks(language) for slug, language in ((KOREAN.slug, "ko"), (ENGLISH.slug, "en"))}
    rows = {book.message_id(row): row for row in book.deliveries.values() if row.issue_id}
    bare = {(row.issue_id, row.paper_id) for row in book.placed if row.summary_id is None}
    missing = 0
    for mail in post.mails:
        row = rows.get(mail.message_id)
        if row is None or row.issue_id is None:
            continue
        text = " ".join(mail.text.split())
        marked = sum(text.count(mark) for mark in marks[book.slug_of(book.issues[row.issue_id])])
        expected = sum((row.issue_id, number) not in bare for number in mail.cards)
        missing += abs(expected - marked)
    return missing


def _marks(language: str) -> tuple[str, str]:
    """Return what a mail says of a checked summary by the model, and of one from the abstract."""
    gettext = i18n.catalogue(language).gettext
    by_model = gettext("Summarised by %(model)s, a language model; machine-checked against the abstract") % {"model": "parrot-1"}
    quoted = gettext("From the abstract, in %(language)s") if language == "ko" else gettext("From the abstract")
    return by_model, quoted.partition("%")[0].strip() or quoted.partition(")s")[2].strip()
