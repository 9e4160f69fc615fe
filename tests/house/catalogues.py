"""Compile every message catalogue: python tests/house/catalogues.py"""

from pathlib import Path

import polib

ROOT = Path(__file__).resolve().parents[2]

if __name__ == "__main__":
    for source in sorted(ROOT.glob("*/locale/*/LC_MESSAGES/django.po")):
        polib.pofile(str(source)).save_as_mofile(str(source.with_suffix(".mo")))
