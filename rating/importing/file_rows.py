"""What is judged of a file's rows before they meet the deck, whatever format they came in."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from rating.formats.deck_file import ERRORS_KEPT, ROW_IDS, DeckFile
from rating.formats.fields import ParsedRow, RowError
from rating.rails import Publication

NATIVE = "native"  # its dates are periods of single rows, on purpose
# What suppliers call the change of a row, and what it must be by our own difference.
CLAIMS = {
    "created": ("new", "added", "add", "open", "opened", "新增", "新开"),
    "raised": ("increase", "increased", "inc", "up", "raise", "raised", "上调", "涨价"),
    "lowered": ("decrease", "decreased", "dec", "down", "lower", "lowered", "下调", "降价"),
    "same": ("same", "unchanged", "no change", "not changed", "current", "equal", "不变"),
}
_CLAIMED = {word: outcome for outcome, words in CLAIMS.items() for word in words}


def storable(text: str) -> str:
    """The text as the database can keep it: what is no character becomes a mark."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def refuse_unstorable(file: DeckFile) -> None:
    """Rows with a NUL or half a character in a text cannot be kept."""
    kept: list[ParsedRow] = []
    for parsed in file.rows:
        terms = parsed.terms
        texts = f"{terms.prefix}{terms.destination}{terms.comment}{terms.band}"
        if (texts.isascii() and "\x00" not in texts) or storable(texts) == texts:
            kept.append(parsed)
        else:
            file.refuse([RowError(parsed.row, "destination", terms.destination, "E_ENCODING")], key=parsed.key)
    file.rows = kept


def refuse_duplicates(file: DeckFile) -> None:
    """Two rows for the same calls in overlapping periods: neither can be meant, so the later one is an error."""
    seen: dict[tuple[Any, ...], list[ParsedRow]] = {}
    kept: list[ParsedRow] = []
    for parsed in file.rows:
        terms = parsed.terms
        identity = (parsed.key, terms.carrier, terms.reach, terms.kind, terms.band, terms.priority)
        others = seen.setdefault(identity, [])
        twin = next((other for other in others if _overlap(parsed, other)), None)
        if twin is None:
            others.append(parsed)
            kept.append(parsed)
        else:
            file.refuse([RowError(parsed.row, "prefix", f"{terms.prefix} (row {twin.row})", "E_DUPLICATE")])
    file.rows = kept


def lift_date(file: DeckFile, publication: Publication) -> Publication:
    """The date that all rows of a supplier's file bear is the file's own: the version's, no longer the rows'."""
    dates = {parsed.terms.effective_from for parsed in file.rows}
    if file.format in ("", NATIVE) or len(dates) != 1 or None in dates:
        return publication
    file.rows = [parsed._replace(terms=replace(parsed.terms, effective_from=None)) for parsed in file.rows]
    return replace(publication, effective_from=dates.pop(), correction=publication.correction or bool(file.past_dates))


def disagreements(file: DeckFile, outcomes: Iterable[tuple[int, str]]) -> Iterator[RowError]:
    """Rows that the supplier calls dearer, cheaper, new or unchanged and that are not, by our own difference.

    `outcomes` are by `terms.rate_id`, which tells the rows of a file apart.
    """
    told = 0
    for rate_id, outcome in outcomes if file.changes else ():
        claim = file.changes.get(rate_id, "")
        if _CLAIMED.get(claim.strip().lower(), outcome) != outcome and told < ERRORS_KEPT:
            told += 1
            yield RowError(rate_id % ROW_IDS, "change", f"{claim} ({outcome})", "W_CHANGE_DISAGREES")


def _overlap(one: ParsedRow, other: ParsedRow) -> bool:
    def before(end: datetime | None, start: datetime | None) -> bool:
        return end is not None and start is not None and end <= start

    return not (
        before(one.terms.effective_to, other.terms.effective_from)
        or before(other.terms.effective_to, one.terms.effective_from)
    )
