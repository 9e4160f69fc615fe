"""Decks for the tests of this room."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from billing_platform.auth import Caller
from rating import tariffs
from rating.decks import Publication
from rating.importing.imports import ImportOrder, ImportReceipt, apply_import, preview_import
from rating.models import Deck, TariffProfile
from rating.proposals import approve_version

ADMIN = Caller("person", "1", name="rita", roles=frozenset({"rate_admin"}))
FINANCE = Caller("person", "2", name="fiona", roles=frozenset({"finance"}))
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
PAYLOADS = Path(__file__).parents[1] / "payloads" / "decks"


COLUMNS = "prefix,rate,first_increment,next_increment"


def make_deck(
    code: str, *lines: str, effective_from: datetime = LONG_AGO, columns: str = COLUMNS, **fields: object
) -> Deck:
    """A deck with one published version; each line is `prefix,rate[,…]` under the columns of `csv_of`."""
    deck = Deck.objects.create(code=code, **fields)
    publish(code, *lines, effective_from=effective_from, columns=columns)
    return deck


def csv_of(*lines: str, columns: str = COLUMNS) -> bytes:
    directives = [line for line in lines if line.startswith("#!")]
    rows = [line for line in lines if not line.startswith("#!")]
    return "\n".join([*directives, columns, *rows, ""]).encode()


def publish(
    code: str,
    *lines: str,
    mode: str = "merge",
    effective_from: datetime | None = None,
    correction: bool = False,
    columns: str = COLUMNS,
) -> ImportReceipt:
    """Import the lines and publish; guard rails are confirmed, and the second person agrees where one is needed."""
    order = ImportOrder(
        code, csv_of(*lines, columns=columns), mode=mode, publication=Publication(effective_from, correction=correction)
    )
    receipt = apply_import(order, caller=ADMIN, confirm=token_of(order))
    if receipt.version is not None and receipt.version.approvers:
        receipt = replace(receipt, version=approve_version(receipt.version.version_id, caller=FINANCE))
    tariffs.refresh()
    return receipt


def token_of(order: ImportOrder) -> str:
    return preview_import(order, caller=ADMIN).token


def assign(family: str, *, subject: str = "*any", fallback: tuple[str, ...] = (), **fields: object) -> TariffProfile:
    """Give a subject of tenant demo the family's decks for callbacks."""
    values = {"tenant": "demo", "category": "callback", "subject": subject, "family": family, **fields}
    profile = TariffProfile.objects.create(fallback_subjects=list(fallback), **values)
    tariffs.refresh()
    return profile
