"""What does this call cost? (费率引擎) Decks and their versions, carriers, the calendar of days, the pricing engine.

Knows no account and moves no money; a subject is only a name. Same inputs and same versions give the same amount.
Face: `engine.price_call`, `price_calls`, `price_legs`, `seconds_for`, `dearest` (pure) on a `tariff.Tariff`.
Pure, floor by floor: terms timetable call ladder compiled tariff lookup price engine; candidates names the losers.
From rows to tariffs: versions stored hot on_demand in_memory live tariffs.
Invariants: arithmetic is exact and rounded once; published versions never change; every amount can be redone by hand.
"""
