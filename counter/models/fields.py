"""Fields that the tables of this room share. Amounts NUMERIC(20,6); periods are half open [from, until)."""

from decimal import Decimal

from django.db import models
from django.utils.functional import Promise

LIMIT = Decimal(10) ** 12


def decimal_field(label: "str | Promise", **options: object) -> "models.DecimalField[Decimal, Decimal]":
    """An amount or a number of units: 20 digits, 6 decimals."""
    return models.DecimalField(label, max_digits=20, decimal_places=6, **options)  # type: ignore[arg-type]


def account_field(**options: object) -> "models.ForeignKey[models.Model, models.Model]":
    """The billing account, one floor below."""
    return models.ForeignKey("ledger.BillingAccount", models.PROTECT, related_name="+", **options)  # type: ignore[arg-type]
