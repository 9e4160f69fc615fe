"""Tenants for a benchmark: organisations, each with a key, a funded account and an opening; one deck for all."""

import secrets
from datetime import timedelta
from decimal import Decimal

from django.db import connection, transaction

from billing_platform import clock
from billing_platform.auth import hashed_secret
from billing_platform.demo import Demo
from billing_platform.models import ApiKey
from counter.models import AccountBinding, AccountService, Organization, ServiceItem
from ledger.models import BillingAccount, LedgerAccount
from ledger.posting import NewTransfer, post_transfers
from rating import demo as rating_demo
from rating.models import TariffProfile

LABEL = "callback"
MONEY = Decimal(1_000_000)
BATCH = 1000


def seed_tenants(how_many: int) -> list[str]:
    """Make tenants `bench-0` … and answer their API keys `<id>.<secret>`."""
    rating_demo.seed(Demo(7, "small"))
    at = clock.now() - timedelta(days=30)
    item, _ = ServiceItem.objects.get_or_create(label=LABEL, defaults={"name": "回拨", "mode": "by_deck"})
    codes = [f"bench-{n}" for n in range(how_many)]
    Organization.objects.bulk_create([Organization(code=code, name=code) for code in codes], batch_size=BATCH)
    TariffProfile.objects.bulk_create(
        [TariffProfile(tenant=code, category=LABEL, family=rating_demo.RETAIL) for code in codes], batch_size=BATCH
    )
    secret = secrets.token_urlsafe(32)
    ApiKey.objects.bulk_create(
        [
            ApiKey(key_id=f"bench{n}", name=code, organization=code, scopes=["cdr:write"],
                   secret_hash=hashed_secret(secret))
            for n, code in enumerate(codes)
        ],
        batch_size=BATCH,
    )  # fmt: skip
    account_ids = _seed_accounts(codes)
    organizations = dict(Organization.objects.filter(code__in=codes).values_list("code", "pk"))
    AccountBinding.objects.bulk_create(
        [
            AccountBinding(account_id=pk, organization_id=organizations[code], valid_from=at)
            for code, pk in account_ids.items()
        ],
        batch_size=BATCH,
    )
    AccountService.objects.bulk_create(
        [AccountService(account_id=pk, item=item, opened_at=at) for pk in account_ids.values()], batch_size=BATCH
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return [f"bench{n}.{secret}" for n in range(how_many)]


def _seed_accounts(codes: list[str]) -> dict[str, int]:
    accnos = {code: f"C9{n:08d}" for n, code in enumerate(codes)}
    wallets = LedgerAccount.objects.bulk_create(
        [LedgerAccount(code=f"wallet/{accno}", kind="wallet", currency="CNY") for accno in accnos.values()],
        batch_size=BATCH,
    )
    rows = BillingAccount.objects.bulk_create(
        [
            BillingAccount(accno=accno, kind="company", name=code, owner=code, organization=code, wallet=wallet)
            for (code, accno), wallet in zip(accnos.items(), wallets, strict=True)
        ],
        batch_size=BATCH,
    )
    at = clock.now()
    for start in range(0, len(rows), BATCH):
        with transaction.atomic():
            post_transfers(
                [
                    NewTransfer(row.pk, MONEY, "settlement", "top_up", f"{row.accno}:bench", at)
                    for row in rows[start : start + BATCH]
                ]
            )
    return {row.organization: row.pk for row in rows}
