"""What a lower floor must ask of a higher one, as dotted names, like URLs: the only place where floor 0 names rooms."""

from collections.abc import Callable
from typing import Any

from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

ORACLE_CHECKS = [  # () -> Iterable[billing_platform.oracle.Finding]
    "ledger.audit.ledger_findings",
    "counter.audit.use_findings",
    "cdr.audit.record_findings",
]
READY_PARTS = [  # () -> billing_platform.health.Part
    "billing_platform.health.database_part",
    "billing_platform.health.migrations_part",
    "billing_platform.health.valkey_part",
    "billing_platform.health.outbox_part",
    "counter.client.ready_part",
    "cdr.audit.ready_part",
]
GAUGES = [  # () -> sequence of billing_platform.metrics.Reading, the quickest first
    "ledger.figures.hold_readings",
    "cdr.figures.backlog_readings",
    "billing_platform.outbox.waiting_readings",
    "ledger.figures.wallet_readings",
    "billing_platform.outbox.dead_readings",
]
DEMO_SEEDERS = [  # (demo: billing_platform.demo.Demo) -> None, in this order
    "rating.demo.seed",
    "counter.demo.seed",
    "callcontrol.demo.seed",
    "cdr.demo.seed",
]
DASHBOARD_CARDS = [  # (caller) -> list of billing_platform.dashboard.Card
    "counter.audit.cards",
    "cdr.audit.cards",
    "rating.calendar_alert.cards",
    "finance.listing.cards",
]
STORED_CHARGES = [  # (at_most) -> Iterator of dict, newest first: what `rate_explain --verify` reads
    "counter.stored.stored_charges",
]
NOTICE_WORDINGS = [  # mappings: kind of a notice -> lazy sentence with %(fact)s
    "billing_platform.notices.WORDINGS",
    "callcontrol.notices.WORDINGS",
    "finance.alerts.WORDINGS",
]
CLOSED_PERIODS: list[str] = []  # (account ids, begins=, ends=) -> Iterable[billing_platform.closing.Closed]
ERROR_BODIES = {  # path prefix: (error, request) -> answer, where a public contract has an error body of its own
    "/api/billaccounts/": "counter.rest.refusal_response",
    "/onlyuser/": "counter.rest.refusal_response",
}
JOB_SUBJECTS = {  # job: (run id) -> billing_platform.watching.Subject or None
    "deck_import": "rating.importing.jobs.subject_of_run",
    "rerate": "cdr.rerating.runs.subject_of_run",
}
JOB_TITLES = {  # job: what people call it
    "deck_import": _("Import of a rate file"),
    "rerate": _("Re-rating"),
    "charge_resubmit": _("Resubmission of charges"),
    "verify_ledger": _("Check of the ledger"),
    "seal_ledger": _("Sealing of the ledger"),
}
COUNT_TITLES = {  # what a run counts: in words
    "read": _("rows read"),
    "created": _("new"),
    "raised": _("dearer"),
    "lowered": _("cheaper"),
    "changed": _("rows changed"),
    "other": _("other changes"),
    "same": _("same as before"),
    "removed": _("removed"),
    "skipped": _("left out: blank or remark"),
    "error": _("errors"),
    "bands": _("time bands"),
}
JOB_COMMANDS = {"charge_resubmit", "rerate", "verify_ledger", "seal_ledger"}  # that a page may have a worker run


def title_of_job(job: str) -> str:
    """What people call a job; the name of its command when nobody gave it another one."""
    return str(JOB_TITLES.get(job, job))


def resolve(names: list[str]) -> list[Callable[..., Any]]:
    """The functions behind a list of this table. Raises ImportError when a name leads nowhere."""
    return [import_string(name) for name in names]
