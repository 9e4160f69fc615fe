"""One cast for every story. Acme has money, Beta is broke, Gamma is suspended, Delta has package minutes only, Echo is
another organisation. Each is an organisation with a company account bound to it; services are opened by the story.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from billing_platform import clock
from billing_platform.auth import Caller, issue_key
from counter import directory, packs, subscriptions
from counter.models import Organization, ServiceItem, ServicePrice
from ledger import accounts, funding
from ledger.accounts import Account
from ledger.funding import Funding
from rating import tariffs
from rating.assignments import assign_deck
from rating.decks import Publication
from rating.importing.imports import ImportOrder, apply_import, preview_import
from rating.models import Deck

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
DECK_COLUMNS = "prefix,rate,first_increment,next_increment"
_DEALER = Caller("task", "cast")


def acme(money: str = "100.00") -> Account:
    """Has money."""
    return make_account("acme", money=money)


def beta() -> Account:
    """Is broke."""
    return make_account("beta", money="0")


def gamma(money: str = "100.00") -> Account:
    """Has money and is suspended."""
    return accounts.suspend_account(make_account("gamma", money=money).accno)


def delta(meter: str = "voice", minutes: str = "10") -> Account:
    """Has package minutes of a meter and no money."""
    account = make_account("delta", money="0")
    grant_minutes(account, meter, minutes)
    return account


def echo(money: str = "100.00") -> Account:
    """Is another organisation, with money."""
    return make_account("echo", money=money)


def make_account(organization: str, *, money: str = "0", owner: str = "", parent: Account | None = None) -> Account:
    """An organisation (made when missing), its company account, its money; the first account is bound to it."""
    _row, is_new = Organization.objects.get_or_create(code=organization, defaults={"name": organization.title()})
    owner = owner or f"{organization}-owner"
    account = accounts.open_account(
        kind="company", name=f"{organization.title()} {owner}", owner=owner, organization=organization,
        parent_id=parent.id if parent else None,
    )  # fmt: skip
    if is_new:
        directory.bind_account(account.accno, organization=organization, at=LONG_AGO)
    if Decimal(money):
        give_money(account, money)
    return accounts.load_account(account.accno)


def give_money(account: Account, amount: str, *, reference: str = "cast") -> None:
    """A top-up."""
    funding.top_up(Funding(account.accno, Decimal(amount), reference, clock.now()))


def grant_minutes(account: Account, meter: str, minutes: str, *, days: int = 30, source: str = "cast") -> int:
    """A pack of minutes that began yesterday; answers its id."""
    began = clock.now() - timedelta(days=1)
    return packs.grant_units(
        account.id, meter=meter, unit="minute", units=Decimal(minutes), valid_from=began,
        valid_to=began + timedelta(days=days), source=source,
    )  # fmt: skip


def grant_uses(account: Account, meter: str, uses: str, *, source: str = "cast") -> int:
    """A pack of uses that began yesterday; answers its id."""
    began = clock.now() - timedelta(days=1)
    return packs.grant_units(
        account.id, meter=meter, unit="use", units=Decimal(uses), valid_from=began,
        valid_to=began + timedelta(days=30), source=source,
    )  # fmt: skip


def make_item(
    label: str,
    mode: str = "per_use",
    *,
    price: str | None = "0.10",
    opened_for: tuple[Account, ...] = (),
    **columns: object,
) -> ServiceItem:
    """A service item with a price since long ago (`connect_fee` and `increment` go there), open for these accounts."""
    version = {name: columns.pop(name) for name in ("connect_fee", "increment") if name in columns}
    item = ServiceItem.objects.create(label=label, name=label, mode=mode, **columns)
    if price is not None and mode in {"per_use", "per_duration"}:
        ServicePrice.objects.create(item=item, effective_from=LONG_AGO, price=Decimal(price), **version)
    for account in opened_for:
        subscriptions.open_service(account.accno, label, at=LONG_AGO)
    return item


def make_deck(code: str, *lines: str, columns: str = DECK_COLUMNS, effective_from: datetime = LONG_AGO) -> Deck:
    """A deck with one published version; each line is `prefix,rate,first_increment,next_increment`."""
    deck = Deck.objects.create(code=code)
    publish_deck(code, *lines, columns=columns, effective_from=effective_from)
    return deck


def publish_deck(code: str, *lines: str, columns: str = DECK_COLUMNS, effective_from: datetime | None = None) -> None:
    """Another version of a deck."""
    directives = [line for line in lines if line.startswith("#!")]
    rows = [line for line in lines if not line.startswith("#!")]
    content = "\n".join([*directives, columns, *rows, ""]).encode()
    order = ImportOrder(code, content, publication=Publication(effective_from))
    apply_import(order, caller=_DEALER, confirm=preview_import(order, caller=_DEALER).token)
    tariffs.refresh()


def price_by(deck: str, *, label: str, organization: str, accno: str = tariffs.ANYBODY) -> None:
    """Uses of the label (or of one leg: `label.a`) in an organisation are priced by the deck, since ever."""
    assign_deck(deck, tenant=organization, category=label, subject=accno, active_from=None, fallback=[])
    tariffs.refresh()


def make_key(organization: str, *scopes: str) -> str:
    """An API key, `<id>.<secret>`."""
    return issue_key(name="cast", organization=organization, scopes=list(scopes))
