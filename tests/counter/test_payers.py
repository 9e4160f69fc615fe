"""Who pays, asked for together: the answers of the single questions, few questions, and none that was true before."""

import itertools
from collections.abc import Sequence
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing_platform import clock
from counter import directory, subscriptions
from counter.errors import AccountNotBound, CounterError, CounterUnavailable
from counter.models import DirectoryGeneration, Organization
from counter.payers import Answers, Payers
from counter.uses import PayerAsked, PayerFound
from ledger import accounts
from tests import cast
from tests.counter.told import NOON

MINUTE = timedelta(minutes=1)


class Asked:
    """A counter in this process, and what it was asked."""

    def __init__(self) -> None:
        self.questions: list[list[tuple[str, str]]] = []

    def __call__(self, asked: Sequence[PayerAsked]) -> Answers:
        self.questions.append([one[:2] for one in asked])
        generation = str(DirectoryGeneration.objects.get(pk=1).number)
        return Answers(directory.find_payers(asked, organizations=None), generation)


def told(found: PayerFound | CounterError) -> object:
    return found.code if isinstance(found, CounterError) else (found.accno, found.valid_from, found.valid_until)


def told_singly(one: PayerAsked, organizations: frozenset[str] | None) -> object:
    """What the two questions of the contract say together."""
    try:
        bound = directory.query_account(
            user="", application="", organization=one.organization, at=one.at, organizations=organizations
        )
    except AccountNotBound as refusal:
        return refusal.code
    head = bound.account.accno
    subs = directory.query_sub_accounts(head, label=one.label, at=one.at, organizations=organizations)
    since = [each for each in (bound.valid_from, subs.valid_from) if each is not None]
    until = [each for each in (bound.valid_until, subs.valid_until) if each is not None]
    return (subs.accnos or (head,))[0], max(since, default=None), min(until, default=None)


@pytest.mark.usefixtures("books")
def test_many_are_answered_as_one_by_one_in_four_statements() -> None:
    acme, echo = cast.acme(), cast.echo()
    second = cast.make_account("acme", owner="second")
    directory.bind_account(second.accno, organization="acme", at=NOON)
    children = [cast.make_account("acme", owner=f"child-{n}", parent=second) for n in range(3)]
    cast.make_item("sms", opened_for=(children[2],))
    cast.make_item("fax", opened_for=(acme, second))
    subscriptions.open_service(children[1].accno, "sms", at=NOON + MINUTE)
    subscriptions.close_service(children[1].accno, "sms", at=NOON + 3 * MINUTE)
    subscriptions.open_service(children[0].accno, "sms", at=NOON)
    accounts.suspend_account(children[0].accno)
    for code, parent in (("acme-north", "acme"), ("acme-north-1", "acme-north")):
        Organization.objects.create(code=code, name=code, parent=Organization.objects.get(code=parent))
    codes, labels = ("acme", "echo", "acme-north-1", "nobody", ""), ("sms", "fax", "nothing")
    instants = [NOON + n * MINUTE for n in (-1, 0, 1, 2, 3)] + [cast.LONG_AGO - MINUTE]
    asked = [PayerAsked(*each) for each in itertools.product(codes, labels, instants)]

    for organizations in (None, frozenset({"acme"}), frozenset({"echo"})):
        with CaptureQueriesContext(connection) as statements:
            found = directory.find_payers(asked, organizations=organizations)
        assert [told(one) for one in found] == [told_singly(one, organizations) for one in asked]
        assert len(statements) == 4

    assert told(directory.find_payers([PayerAsked("acme", "sms", NOON + MINUTE)], organizations=None)[0]) == (
        children[1].accno, NOON + MINUTE, NOON + 3 * MINUTE,
    )  # fmt: skip
    assert told(directory.find_payers([PayerAsked("echo", "sms", NOON)], organizations=None)[0])[0] == echo.accno


@pytest.mark.usefixtures("books")
def test_a_batch_is_asked_for_once_and_a_second_time_for_other_periods() -> None:
    first = cast.acme()
    cast.echo()
    second = cast.make_account("acme", owner="second")
    directory.bind_account(second.accno, organization="acme", at=NOON)
    payers, counter = Payers(), Asked()
    asked = [PayerAsked(code, "sms", NOON + n * MINUTE) for code in ("echo", "acme", "nobody") for n in (-2, -1, 0, 1)]

    answers = payers.tell(asked, counter)

    assert answers[4:8] == [first.accno, first.accno, second.accno, second.accno]
    assert [one.code for one in answers[8:] if isinstance(one, CounterError)] == ["account_not_bound"] * 4
    assert [len(question) for question in counter.questions] == [3, 5]
    assert payers.tell(asked[:8], counter) == answers[:8]
    assert len(counter.questions) == 2


@pytest.mark.usefixtures("books")
def test_after_a_change_nothing_old_is_believed_and_one_question_renews_the_others() -> None:
    acme, echo = cast.acme(), cast.echo()
    second = cast.make_account("acme", owner="second")
    payers, counter, now = Payers(), Asked(), clock.now()
    both = [PayerAsked("acme", "sms", now), PayerAsked("echo", "sms", now)]
    assert payers.tell(both, counter) == [acme.accno, echo.accno]
    generation = DirectoryGeneration.objects.get(pk=1).number

    directory.bind_account(second.accno, organization="acme", at=now - MINUTE)
    payers.hear(str(DirectoryGeneration.objects.get(pk=1).number))

    assert payers.tell(both[1:], counter) == [echo.accno]
    assert counter.questions[1:] == [[("echo", "sms"), ("acme", "sms")]]
    assert payers.tell(both, counter) == [second.accno, echo.accno]
    assert len(counter.questions) == 2

    payers.hear(str(generation))  # an answer that was long on its way vouches for nothing
    assert payers.tell(both[:1], counter) == [second.accno]
    assert len(counter.questions) == 3


@pytest.mark.usefixtures("books")
def test_who_is_bound_no_more_is_refused_and_an_answer_overtaken_by_a_change_is_not_kept() -> None:
    acme = cast.acme()
    payers, counter, now = Payers(), Asked(), clock.now()
    asked = [PayerAsked("acme", "sms", now)]

    def overtaken(questions: Sequence[PayerAsked]) -> Answers:
        answers = counter(questions)
        return Answers(answers.outcomes, "0")

    payers.tell(asked, overtaken)
    payers.hear("1")
    assert payers.tell(asked, counter) == [acme.accno]
    assert len(counter.questions) == 2

    def away(_: Sequence[PayerAsked]) -> Answers:
        raise CounterUnavailable

    payers.hear("2")
    with pytest.raises(CounterUnavailable):
        payers.tell(asked, away)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM counter_accountbinding")
    (refused,) = payers.tell(asked, counter)
    assert isinstance(refused, AccountNotBound)
