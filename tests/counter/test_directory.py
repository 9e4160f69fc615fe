"""Who pays: bindings and openings keep their periods, sub-accounts their order."""

from datetime import timedelta

import pytest

from billing_platform import clock
from counter import directory, subscriptions
from counter.models import AccountBinding, Application, Organization
from ledger import accounts
from tests import cast
from tests.counter.told import NOON, refusal_of

pytestmark = pytest.mark.usefixtures("books")
MINUTE = timedelta(minutes=1)


def query(organization="", *, application="", user="", at=None, organizations=None):
    return directory.query_account(
        user=user, application=application, organization=organization, at=at or clock.now(), organizations=organizations
    )


def subs(parent, label="", *, at=None, organizations=None):
    return directory.query_sub_accounts(parent, label=label, at=at or clock.now(), organizations=organizations)


def make_below(parent, code):
    return Organization.objects.create(code=code, name=code, parent=Organization.objects.get(code=parent))


def test_the_applications_binding_wins_then_the_organisations_then_the_nearest_parents():
    acme = cast.acme()
    special = cast.make_account("acme", owner="special")
    app = Application.objects.create(code="app", name="App")
    directory.bind_account(special.accno, organization="acme", at=cast.LONG_AGO, application_id=app.pk)
    make_below("acme", "acme-north")
    make_below("acme-north", "acme-north-1")

    assert query("acme").account.accno == acme.accno
    assert query("acme", application="app").account.accno == special.accno
    assert query("acme", application="other").account.accno == acme.accno
    assert query("acme-north-1").account.accno == acme.accno


def test_a_person_has_a_personal_account_and_an_organisation_wins_over_it():
    acme = cast.acme()
    own = directory.create_account(owner="7", kind="personal", name="Seven", organization="acme")

    assert query(user="7").account.accno == own.accno
    assert own.accno.startswith("P")
    assert query("acme", user="7").account.accno == acme.accno
    assert refusal_of(query, user="8").code == refusal_of(query, "nobody").code == "account_not_bound"


def test_a_binding_that_changed_at_noon_answers_for_each_side():
    first = cast.acme()
    second = cast.make_account("acme", owner="second")
    directory.bind_account(second.accno, organization="acme", at=NOON)

    before, after = query("acme", at=NOON - MINUTE), query("acme", at=NOON)

    assert (before.account.accno, before.valid_from, before.valid_until) == (first.accno, cast.LONG_AGO, NOON)
    assert (after.account.accno, after.valid_from, after.valid_until) == (second.accno, NOON, None)
    assert refusal_of(query, "acme", at=cast.LONG_AGO - MINUTE).code == "account_not_bound"


def test_binding_again_at_the_same_instant_leaves_one_binding():
    first = cast.acme()
    second = cast.make_account("acme", owner="second")
    directory.bind_account(second.accno, organization="acme", at=NOON)
    directory.bind_account(first.accno, organization="acme", at=NOON)
    directory.bind_account(first.accno, organization="acme", at=NOON)

    assert query("acme", at=NOON).account.accno == first.accno
    assert AccountBinding.objects.count() == 2


def test_sub_accounts_come_by_number_and_with_a_label_the_parent_first():
    acme = cast.acme()
    children = [cast.make_account("acme", owner=f"child-{n}", parent=acme) for n in range(4)]
    cast.make_item("sms", opened_for=(children[2], children[0], children[3], acme))
    accounts.suspend_account(children[3].accno)

    assert subs(acme.accno).accnos == tuple(child.accno for child in children)
    assert subs(acme.accno, "sms").accnos == (acme.accno, children[0].accno, children[2].accno)
    assert subs(children[0].accno).accnos == ()
    assert subs(acme.accno, "nothing").accnos == ()
    assert refusal_of(subs, "C99999999").code == "account_not_found"
    assert refusal_of(subs, acme.accno, organizations=frozenset({"echo"})).code == "account_not_found"


def test_openings_answer_for_the_asked_instant():
    acme = cast.acme()
    cast.make_item("sms")
    subscriptions.open_service(acme.accno, "sms", at=NOON)
    subscriptions.close_service(acme.accno, "sms", at=NOON + MINUTE)

    answers = [subs(acme.accno, "sms", at=NOON + n * MINUTE) for n in (-1, 0, 1)]

    assert [found.accnos for found in answers] == [(), (acme.accno,), ()]
    assert [(found.valid_from, found.valid_until) for found in answers] == [
        (None, NOON), (NOON, NOON + MINUTE), (NOON + MINUTE, None),
    ]  # fmt: skip


def test_creating_again_answers_the_same_account_and_another_name_or_tenant_is_a_conflict():
    first = directory.create_account(owner="7", kind="personal", name="Seven", organization="acme")
    company = directory.create_account(owner="7", kind="company", name="Seven Ltd", organization="acme")

    again = directory.create_account(owner="7", kind="personal", name="Seven", organization="acme")

    assert (again.accno, again.balance, again.credit_limit, again.state) == (first.accno, 0, 0, "active")
    assert company.accno != first.accno
    assert company.accno.startswith("C")
    for name, organization in (("Eight", "acme"), ("Seven", "echo")):
        refused = refusal_of(directory.create_account, owner="7", kind="personal", name=name, organization=organization)
        assert refused.code == "idempotency_conflict"


def test_what_another_organisation_owns_is_not_found():
    cast.acme()

    assert refusal_of(query, "acme", organizations=frozenset({"echo"})).code == "account_not_bound"


def test_opening_twice_changes_nothing_and_other_terms_are_a_conflict():
    acme = cast.acme()
    cast.make_item("seats", "resource", opened_for=(acme,))

    subscriptions.open_service(acme.accno, "seats", at=clock.now())
    refused = refusal_of(subscriptions.open_service, acme.accno, "seats", at=clock.now(), limits=3)

    assert refused.code == "idempotency_conflict"
    subscriptions.close_service(acme.accno, "seats", at=clock.now())
    assert refusal_of(subscriptions.close_service, acme.accno, "seats", at=clock.now()).code == "service_not_open"
