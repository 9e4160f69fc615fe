"""Occupied units: one row lock, each change a row, limits kept, repeats harmless."""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import connections

from billing_platform import clock
from counter import resources, subscriptions
from counter.models import ResourceChange, ResourceUsage
from counter.resources import Change, Occupied
from ledger import accounts
from tests import cast
from tests.counter.told import refusal_of


def seats(limits=3):
    acme = cast.acme("0")
    cast.make_item("seats", "resource", limits=limits, opened_for=(acme,))
    return acme


def increase(account, count=1, **more):
    change = Change(account.accno, more.pop("label", "seats"), count, **more)
    return resources.increase(change, organizations=None, at=clock.now())


def reduce(account, count=1, **more):
    return resources.reduce(Change(account.accno, "seats", count, **more), organizations=None, at=clock.now())


def changes():
    return list(ResourceChange.objects.order_by("pk").values_list("before", "after", "actor"))


@pytest.mark.usefixtures("books")
class TestOneCaller:
    def test_changes_by_count_and_to_a_total_leave_rows(self):
        acme = seats()

        assert increase(acme, actor="key:a") == Occupied(1, 3)
        assert increase(acme, total=3) == Occupied(3, 3)
        assert reduce(acme, 2) == Occupied(1, 3)
        assert reduce(acme, total=0) == Occupied(0, 3)
        assert changes() == [(0, 1, "key:a"), (1, 3, ""), (3, 1, ""), (1, 0, "")]

    def test_limits_and_zero_are_kept_and_a_refusal_changes_nothing(self):
        acme = seats()
        increase(acme, 2)

        refused = [refusal_of(increase, acme, 2), refusal_of(increase, acme, total=4), refusal_of(reduce, acme, 3)]

        assert [(one.code, one.grpc_status) for one in refused] == [
            ("quota_exceeded", "RESOURCE_EXHAUSTED"), ("quota_exceeded", "RESOURCE_EXHAUSTED"),
            ("below_zero", "FAILED_PRECONDITION"),
        ]  # fmt: skip
        assert refusal_of(reduce, acme, total=4).code == "quota_exceeded"
        assert (ResourceUsage.objects.get().usage, len(changes())) == (2, 1)

    def test_limits_zero_is_unlimited_and_an_opening_has_its_own(self):
        acme = seats(limits=0)
        assert increase(acme, 1_000_000) == Occupied(1_000_000, 0)
        assert refusal_of(increase, acme, total=2**31).code == "quota_exceeded"

        subscriptions.close_service(acme.accno, "seats", at=clock.now())
        subscriptions.open_service(acme.accno, "seats", at=clock.now(), limits=2_000_000)
        assert refusal_of(increase, acme, 1_000_001).code == "quota_exceeded"

    def test_a_request_id_answers_the_first_result_again_or_a_conflict(self):
        acme = seats()
        first = increase(acme, 2, request_id="r1")
        increase(acme, 1)

        assert increase(acme, 2, request_id="r1") == Occupied(first.usage, 3, duplicate=True)
        assert refusal_of(increase, acme, 1, request_id="r1").code == "idempotency_conflict"
        accounts.suspend_account(acme.accno)
        assert increase(acme, 2, request_id="r1").duplicate
        assert ResourceUsage.objects.get().usage == 3

    def test_increasing_needs_an_active_account_and_an_open_service_reducing_nothing(self):
        acme = seats()
        increase(acme, 2)
        subscriptions.close_service(acme.accno, "seats", at=clock.now())
        assert refusal_of(increase, acme).code == "service_not_open"
        assert refusal_of(reduce, acme, total=3).code == "service_not_open"
        accounts.suspend_account(acme.accno)
        assert refusal_of(increase, acme).code == "account_suspended"

        assert reduce(acme, 1) == Occupied(1, 3)

    def test_only_resources_are_occupied_and_only_by_their_organisation(self):
        acme = seats()
        cast.make_item("sms", opened_for=(acme,))

        assert refusal_of(increase, acme, label="sms").code == "wrong_charge_mode"
        assert refusal_of(increase, acme, label="nothing").code == "service_unknown"
        stranger = Change(acme.accno, "seats")
        refused = refusal_of(resources.increase, stranger, organizations=frozenset({"echo"}), at=clock.now())
        assert refused.code == "account_not_found"
        assert not ResourceUsage.objects.exists()


@pytest.mark.usefixtures("committed_books")
def test_ten_at_once_never_pass_the_limit():
    acme = seats(limits=4)
    cast.give_money(acme, str(Decimal(1)))

    def take(_):
        try:
            return increase(acme).usage
        except resources.QuotaExceeded:
            return 0
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as callers:
        answers = sorted(callers.map(take, range(10)))

    assert answers == [0] * 6 + [1, 2, 3, 4]
    assert ResourceUsage.objects.get().usage == 4
