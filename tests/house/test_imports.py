"""The house has floors: import-linter's contracts hold, and none is missing."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = sorted(path.parent.name for path in ROOT.glob("*/models*") if path.parent.name != "billing_platform")


def test_every_contract_is_kept():
    linter = Path(sys.executable).with_name("lint-imports")

    run = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout[-3000:]


def test_every_room_with_tables_protects_them():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

    protected = {name for contract in contracts for name in contract.get("protected_modules", [])}

    assert {f"{room}.models" for room in ROOMS} <= protected
