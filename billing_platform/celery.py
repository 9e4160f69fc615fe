"""Celery: doorbells and the beat table. The rows are the queue: losing every message loses nothing.

Two beats may run: each sends every entry with the slot (number of the period since 1970, UTC) it belongs to, and a task
that carries a slot runs only when it wins the slot's row (`slots.claim_slot`). A missed slot is not made up: every task
here finds what is due, however long it has been due.
"""

import os
from typing import Any

from celery import Celery, Task
from celery.beat import ScheduleEntry, Scheduler
from celery.schedules import crontab

from billing_platform import clock, slots

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "billing_platform.settings")

DAY = 86_400
BEAT = {  # task: seconds from slot to slot
    "billing_platform.tasks.relay_outbox_task": 2,
    "billing_platform.tasks.close_stale_runs_task": 20,
    "billing_platform.tasks.remove_old_answers_task": 600,
    "billing_platform.tasks.remove_old_notices_task": 3600,
    "billing_platform.tasks.ring_for_waiting_commands_task": 30,
    "cdr.tasks.sweep_charges_task": 10,
    "cdr.tasks.take_up_deliveries_task": 10,
    "cdr.tasks.take_repriced_task": 30,
    "counter.tasks.expire_uses_task": 30,
    "callcontrol.tasks.sweep_callbacks_task": 30,
    "callcontrol.tasks.resubmit_pending_uses_task": 60,
    "finance.tasks.tell_alerts_task": 15,
    "ledger.tasks.expire_lots_task": 60,
    "ledger.tasks.verify_recent_task": 300,
    "rating.tasks.ring_for_waiting_imports_task": 30,
    "rating.tasks.expire_imports_task": 3600,
}
DAILY = {  # task: hour and minute, UTC; a day is sealed two hours after it ended in Shanghai
    "ledger.tasks.make_partitions_task": (17, 0),
    "cdr.tasks.make_partitions_task": (17, 5),
    "rating.tasks.watch_calendar_task": (17, 10),
    "ledger.tasks.seal_day_task": (18, 0),
}
PERIODS = BEAT | dict.fromkeys(DAILY, DAY)


class SlotTask(Task):
    """A task sent by beat runs once a slot; rung or called directly it runs always."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        slot = (self.request.headers or {}).get("slot")
        if slot is None:
            return self.run(*args, **kwargs)
        if not slots.claim_slot(self.name, slot=int(slot)):
            return None
        result = self.run(*args, **kwargs)
        slots.finish_slot(self.name, slot=int(slot))
        return result


class SlotScheduler(Scheduler):
    """Beat's table in memory (no file beside the code); each message says which slot it is for."""

    def apply_async(self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002  Celery's signature
        entry.options["headers"] = {"slot": int(clock.now().timestamp()) // PERIODS[entry.task]}
        return super().apply_async(entry, producer=producer, advance=advance, **kwargs)


app = Celery("billing_platform", task_cls=SlotTask)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.beat_scheduler = SlotScheduler
app.conf.beat_schedule = {
    **{task: {"task": task, "schedule": float(seconds)} for task, seconds in BEAT.items()},
    **{task: {"task": task, "schedule": crontab(hour=hour, minute=minute)} for task, (hour, minute) in DAILY.items()},
}
app.autodiscover_tasks()
