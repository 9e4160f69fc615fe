"""Lock files pin by hash and name no host, no path and no index."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ["requirements.lock", "requirements-dev.lock"]


@pytest.mark.parametrize("name", LOCKS)
def test_no_host_no_path_no_index(name):
    text = (ROOT / name).read_text()

    assert re.findall(r"://|file:|index-url|find-links", text) == []


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_a_hash(name):
    lines = (ROOT / name).read_text().splitlines()

    pins = [line for line in lines if re.match(r"[a-z0-9]", line)]

    assert len(pins) > 30
    assert [pin for pin in pins if not pin.endswith("\\")] == []


def test_every_declared_dependency_is_locked():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    declared = {re.split(r"[<>=!~;\[ ]", line)[0].lower() for line in project["project"]["dependencies"]}
    locked = {line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line}

    assert declared - locked == set()


def test_one_postgresql_driver():
    """Django silently prefers psycopg 3 when both are installed."""
    names = re.findall(r"^(psycopg[a-z0-9-]*)==", (ROOT / "requirements-dev.lock").read_text(), re.M)

    assert names == ["psycopg2-binary"]


def test_what_the_broker_imports_without_saying_so_is_locked_for_production():
    """kombu's Redis transport needs `packaging`; the development tools bring it, so only this test would notice."""
    names = {line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().splitlines() if "==" in line}

    assert "packaging" in names
