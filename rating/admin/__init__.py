"""Rating in the admin: decks and their versions, rates, imports, numbers, calendar, assignments. Doors only."""

from rating.admin import tables

__all__ = ["tables"]
