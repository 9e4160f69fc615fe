"""Doorbells and beat entries of this room: they only find and go on."""

from celery import shared_task

from cdr import partitions, repriced, resubmission, takeup


@shared_task
def sweep_charges_task() -> None:
    resubmission.sweep_charges()


@shared_task
def take_up_deliveries_task() -> None:
    takeup.take_up_deliveries()


@shared_task
def make_partitions_task() -> None:
    partitions.make_partitions()


@shared_task
def take_repriced_task() -> None:
    repriced.take_repriced()
