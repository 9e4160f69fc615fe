"""Migrations say everything that the models say, are named, and can be taken back."""

import re
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader

ROOT = Path(__file__).resolve().parents[2]
OURS = {"billing_platform", "callcontrol", "cdr", "counter", "finance", "ledger", "rating"}


@pytest.mark.django_db
def test_models_and_migrations_agree():
    call_command("makemigrations", "--check", "--dry-run", stdout=StringIO())


def test_every_migration_is_named():
    names = [path.stem for app in OURS for path in (ROOT / app).glob("migrations/0*.py")]

    assert names
    assert [name for name in names if re.search(r"_auto_|^[0-9]+$", name)] == []


def test_every_migration_can_be_taken_back():
    loader = MigrationLoader(None)

    one_way = [
        (app, name, operation.describe())
        for (app, name), migration in loader.disk_migrations.items()
        if app in OURS
        for operation in migration.operations
        if not operation.reversible
    ]

    assert one_way == []
