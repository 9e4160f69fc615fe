import os
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection

from billing_platform import clock
from billing_platform.auth import Caller
from billing_platform.errors import IdempotencyConflict, ValidationFailed
from billing_platform.models import AuditEntry, JobRun
from billing_platform.runs import GuardRail, RunCancelled, RunOver, taken_up
from billing_platform.watching import cancel_run, resume_run
from rating import decks
from rating.decks import Publication, publish_version
from rating.errors import (
    DraftOutdated,
    ImportNotReady,
    ImportRefused,
    ImportUnknown,
    NotADraft,
    TemplateUnknown,
    TemplateUnreadable,
)
from rating.importing.imports import STEPS, ImportOrder, apply_import, preview_import
from rating.importing.jobs import (
    KEPT,
    apply_received,
    check_import,
    content_of,
    discard_import,
    expire_imports,
    receive_import,
    ring_for_waiting,
)
from rating.importing.templates import find_template, save_template
from rating.models import Deck, DeckImport, DeckImportPart, DeckVersion, Rate, RateEnd
from rating.proposals import approve_version, decline_version
from tests.rating.deck_files import ADMIN, FINANCE, csv_of, make_deck

pytestmark = pytest.mark.django_db
COLLEAGUE = Caller("person", "3", name="rolf", roles=frozenset({"rate_admin"}))
LINES = ("010,0.61,60,60", "021,0.30,60,60", "13,0.10,60,60")


@pytest.fixture
def deck():
    return make_deck("cn", "010,0.60,60,60", "021,0.30,60,60")


def receive(*lines, caller=ADMIN, reference="", **fields):
    return receive_import(ImportOrder("cn", csv_of(*lines), **fields), caller=caller, reference=reference)


def checked(*lines, **fields):
    ticket = receive(*lines, **fields)
    check_import(ticket.import_id)
    return story(ticket)


def story(ticket):
    return DeckImport.objects.get(pk=getattr(ticket, "import_id", None) or ticket.pk)


def content():
    return list(Rate.objects.order_by("id").values()), list(DeckVersion.objects.order_by("id").values())


def test_a_file_is_received_checked_and_applied(deck):
    before = content()
    ticket = receive(*LINES, file_name="spring.csv", publication=Publication(reason="spring"))
    assert (ticket.state, content()) == ("received", before)

    check_import(ticket.import_id)

    found, run = story(ticket), JobRun.objects.get(pk=ticket.job_id)
    assert (found.state, found.version.number, found.version.state) == ("ready", 2, "draft")
    assert (found.created_by, found.version.created_by) == ("person:rita", "person:rita")
    assert (found.counts["read"], found.counts["raised"], found.counts["created"], found.counts["same"]) == (3, 1, 1, 1)
    assert (run.job, run.state, run.exit_code, run.counts["created"]) == ("deck_import", "done", 0, 1)
    assert content()[0][:2] == before[0]

    version = apply_received(ticket.import_id, caller=ADMIN, confirm=found.token)

    found = story(ticket)
    assert (version.state, version.number, version.rows) == ("published", 2, 3)
    assert (found.state, found.finished_at is not None, DeckImportPart.objects.exists()) == ("applied", True, False)
    assert DeckVersion.objects.get(number=2).reason == "spring"
    assert {"import.receive", "deck.draft", "deck.publish"} <= set(AuditEntry.objects.values_list("act", flat=True))


def test_a_file_is_kept_in_parts_and_comes_back_as_it_was(deck):
    body = os.urandom(3 * 2**20)

    ticket = receive_import(ImportOrder("cn", body), caller=ADMIN)

    assert content_of(story(ticket)) == body
    assert DeckImportPart.objects.count() >= 3


def test_an_unreadable_file_is_refused_and_leaves_no_draft(deck):
    found = checked("010,0.61,60,60", "#!deck currency=USD")

    assert (found.state, found.version, found.errors[0]["code"]) == ("refused", None, "E_CURRENCY")
    with pytest.raises(ImportNotReady):
        apply_received(found.pk, caller=ADMIN)
    assert DeckVersion.objects.count() == 1


def test_a_file_without_change_makes_no_version(deck):
    found = checked("010,0.60,60,60")

    assert (found.state, found.version) == ("ready", None)
    assert apply_received(found.pk, caller=ADMIN) is None
    assert (story(found).state, DeckVersion.objects.count()) == ("applied", 1)


def test_error_rows_are_left_out_only_on_purpose(deck):
    found = checked("010,0.61,60,60", "021,,60,60", mode="replace")
    before = content()

    with pytest.raises(ImportRefused) as refused:
        apply_received(found.pk, caller=ADMIN, confirm=found.token)
    assert (refused.value.fields["error_count"], content()) == (1, before)

    with pytest.raises(GuardRail) as rail:
        apply_received(found.pk, caller=ADMIN, skip_errors=True)
    assert (rail.value.fields["rails"], rail.value.fields["token"]) == (["error_rows"], found.token)
    assert (content(), story(found).state) == (before, "ready")

    assert apply_received(found.pk, caller=ADMIN, skip_errors=True, confirm=found.token).rows == 2


def test_two_people_get_two_drafts_and_the_second_publish_is_outdated(deck):
    mine, theirs = checked("010,0.61,60,60"), checked("010,0.62,60,60", caller=COLLEAGUE)
    assert (mine.version.number, theirs.version.number) == (2, 3)

    apply_received(theirs.pk, caller=COLLEAGUE)

    with pytest.raises(DraftOutdated):
        apply_received(mine.pk, caller=ADMIN)
    assert (story(mine).state, story(theirs).state) == ("ready", "applied")


def test_the_same_file_under_the_same_key_is_the_same_ticket(deck):
    first = receive(*LINES, reference="k1")

    again, other = receive(*LINES, reference="k1"), receive(*LINES, reference="k2")
    somebody = receive(*LINES, reference="k1", caller=COLLEAGUE)

    assert (again.import_id, again.job_id) == (first.import_id, first.job_id)
    assert len({first.import_id, other.import_id, somebody.import_id}) == 3
    for change in ({"mode": "replace"}, {"skip_errors": True}, {"publication": Publication(reason="why")}):
        with pytest.raises(IdempotencyConflict):
            receive(*LINES, reference="k1", **change)
    with pytest.raises(IdempotencyConflict):
        receive("010,0.7,60,60", reference="k1")
    assert (DeckImport.objects.filter(reference="k1").count(), JobRun.objects.count()) == (2, 3)


def test_a_file_is_checked_once_and_by_one_worker(fresh_database):
    make_deck("cn", "010,0.60,60,60")
    ticket = receive(*LINES)

    with suppress(KeyboardInterrupt), taken_up(ticket.job_id):  # another worker is at it, and is stopped
        check_import(ticket.import_id)
        assert story(ticket).state == "received"
        raise KeyboardInterrupt
    check_import(ticket.import_id)
    check_import(ticket.import_id)

    assert (story(ticket).state, DeckVersion.objects.count(), story(ticket).attempts) == ("ready", 2, 1)


def test_each_step_tells_its_rows_as_they_go(deck):
    order = ImportOrder("cn", csv_of(*(f"{number},0.10,60,60" for number in range(100_000, 104_500))))
    told = []

    preview_import(order, caller=ADMIN, progress=lambda *one: told.append(one))

    assert told == [
        *(("read", done, 4_501) for done in (1_000, 2_000, 3_000, 4_000)), ("read", 4_500, 4_500),
        *(("compare", done, 4_500) for done in (2_000, 4_000, 4_500)),
        ("write", 0, 4_500), ("write", 4_500, 4_500), ("judge", 0, 4_500), ("judge", 4_500, 4_500),
    ]  # fmt: skip
    assert sum(STEPS.values()) == 100


@pytest.mark.parametrize("step", ["read", "compare", "judge"])
def test_a_check_that_is_cancelled_leaves_nothing(deck, step):
    order = ImportOrder("cn", csv_of(*(f"{number},0.10,60,60" for number in range(100_000, 102_100))))
    before = content()

    def stop(name, _done, _total):
        if name == step:
            raise RunCancelled

    with pytest.raises(RunCancelled):
        apply_import(order, caller=ADMIN, progress=stop)

    assert content() == before


def test_a_cancelled_check_waits_for_a_person_and_ends_as_if_undisturbed(deck):
    undisturbed = checked(*LINES).counts
    ticket = receive(*LINES)
    boss = Caller("person", "9", name="otto", roles=frozenset({"ops"}))

    cancel_run(ticket.job_id, caller=boss)
    DeckImport.objects.filter(pk=ticket.import_id).update(created_at=clock.now() - timedelta(minutes=1))
    check_import(ticket.import_id)  # a doorbell that came late
    assert (ring_for_waiting(), story(ticket).state, story(ticket).attempts) == (0, "received", 0)

    resume_run(ticket.job_id, caller=boss)
    assert ring_for_waiting() == 1
    check_import(ticket.import_id)
    assert (story(ticket).state, story(ticket).counts) == ("ready", undisturbed)
    with pytest.raises(RunOver):
        cancel_run(ticket.job_id, caller=boss)


def check_in_a_process(import_id, **environment):
    code = f"import django; django.setup(); from rating.importing.jobs import check_import; check_import({import_id})"
    names = {**os.environ, "DJANGO_SETTINGS_MODULE": "billing_platform.settings", **environment}
    return subprocess.run([sys.executable, "-c", code], cwd=settings.BASE_DIR, env=names, check=False).returncode


def test_a_worker_that_is_killed_leaves_nothing_and_the_next_one_finds_the_same(fresh_database):
    make_deck("cn", "010,0.60,60,60", "021,0.30,60,60")
    undisturbed = checked(*LINES).counts
    ticket = receive(*LINES)
    drafts = DeckVersion.objects.count()

    died = check_in_a_process(ticket.import_id, FAILPOINTS="rating.imports.before_commit:kill9")

    assert (died, story(ticket).state, DeckVersion.objects.count()) == (-signal.SIGKILL, "checking", drafts)
    DeckImport.objects.filter(pk=ticket.import_id).update(created_at=clock.now() - timedelta(minutes=1))
    assert ring_for_waiting() == 1
    check_import(ticket.import_id)
    found = story(ticket)
    assert (found.state, found.counts, found.attempts) == ("ready", undisturbed, 2)
    assert JobRun.objects.get(pk=ticket.job_id).state == "done"


def test_a_file_at_which_workers_keep_dying_is_given_up(deck):
    ticket = receive(*LINES)
    DeckImport.objects.filter(pk=ticket.import_id).update(state="checking", attempts=3)

    check_import(ticket.import_id)

    assert (story(ticket).state, story(ticket).errors[0]["code"]) == ("refused", "E_INTERRUPTED")


def test_what_nobody_takes_up_is_rung_for_again(deck):
    ticket = receive(*LINES)
    assert ring_for_waiting() == 0  # its doorbell may still be on the way

    DeckImport.objects.filter(pk=ticket.import_id).update(created_at=clock.now() - timedelta(minutes=1))

    assert ring_for_waiting() == 1


def test_what_is_discarded_takes_its_draft_and_its_file_along(deck):
    found, unreadable = checked(*LINES, mode="replace"), checked("x")
    before = list(Rate.objects.filter(valid_from_version=1).values())

    discard_import(found.pk, caller=ADMIN)
    discard_import(unreadable.pk, caller=ADMIN)

    assert (story(found).state, story(unreadable).state, found.version.__class__.objects.get(number=2).state) == (
        "discarded", "discarded", "discarded",
    )  # fmt: skip
    assert list(Rate.objects.values()) == before
    assert not RateEnd.objects.exists()
    assert not DeckImportPart.objects.exists()
    with pytest.raises(NotADraft):
        discard_import(found.pk, caller=ADMIN)
    with pytest.raises(ImportNotReady):
        discard_import(unreadable.pk, caller=ADMIN)
    with pytest.raises(ImportUnknown):
        discard_import(0, caller=ADMIN)


def test_a_draft_that_goes_by_another_door_ends_its_import(deck):
    thrown_away, published = checked("010,0.61,60,60"), checked("010,0.62,60,60")

    decks.discard_draft(thrown_away.version_id, caller=ADMIN)
    publish_version(published.version_id, publication=Publication(), caller=ADMIN)

    assert (story(thrown_away).state, story(published).state) == ("discarded", "applied")


def test_drafts_of_files_expire_after_seven_days(deck):
    old, young, unreadable = checked("010,0.61,60,60"), checked("010,0.62,60,60"), checked("x")
    DeckImport.objects.filter(pk__in=[old.pk, unreadable.pk]).update(created_at=clock.now() - KEPT)

    assert expire_imports() == 2

    assert [story(one).state for one in (old, unreadable, young)] == ["expired", "expired", "ready"]
    assert list(DeckVersion.objects.order_by("number").values_list("state", flat=True)) == [
        "published", "discarded", "draft",
    ]  # fmt: skip
    assert expire_imports() == 0


def test_an_import_that_needs_a_second_person_is_applied_when_they_agree(deck, settings):
    settings.RATING_SECOND_PERSON_ROWS = 0
    found = checked("010,0.61,60,60")

    proposal = apply_received(found.pk, caller=ADMIN)

    assert (proposal.state, story(found).state) == ("proposed", "ready")
    DeckImport.objects.update(created_at=clock.now() - KEPT)
    assert expire_imports() == 0
    with pytest.raises(NotADraft):
        apply_received(found.pk, caller=ADMIN)
    with pytest.raises(NotADraft):
        discard_import(found.pk, caller=ADMIN)
    approve_version(proposal.version_id, caller=FINANCE)
    assert story(found).state == "applied"


def test_a_declined_import_can_be_applied_again(deck, settings):
    settings.RATING_SECOND_PERSON_ROWS = 0
    found = checked("010,0.61,60,60")
    proposal = apply_received(found.pk, caller=ADMIN)

    decline_version(proposal.version_id, caller=FINANCE, reason="later")
    later = clock.now() + timedelta(days=1)

    again = apply_received(found.pk, caller=ADMIN, publication=Publication(later, "as agreed"))
    assert (again.state, again.effective_from) == ("proposed", later)


def test_templates_are_kept_by_name_for_a_deck_or_for_all(deck):
    other = Deck.objects.create(code="other")
    save_template("acme", {"format": "headers", "rate_unit": "minute"}, caller=ADMIN, deck=deck)
    save_template("acme", {"format": "headers", "rate_unit": "second"}, caller=ADMIN, deck=deck)

    assert find_template("acme", deck=deck).rate_unit == "second"
    assert (find_template("astpp", deck=other).format, find_template("", deck=other).format) == ("astpp", "")
    for name, asked in (("acme", other), ("nobody", deck)):
        with pytest.raises(TemplateUnknown):
            find_template(name, deck=asked)


def test_a_template_with_an_unknown_option_is_refused(deck):
    with pytest.raises(TemplateUnreadable) as refused:
        save_template("acme", {"colour": "red"}, caller=ADMIN)
    assert refused.value.fields["key"] == "colour"
    with pytest.raises(ValidationFailed):
        save_template("a/b", {}, caller=ADMIN)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM rating_importtemplate")
        assert cursor.fetchone() == (0,)
