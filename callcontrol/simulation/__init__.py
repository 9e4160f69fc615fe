"""A simulated callback platform: a program of its own, beside the product and never inside it.

It imports nothing of the product and no Django, opens no database, and meets us only over HTTP: it takes our orders,
plays two legs in time and calls our hooks. Start it with ``python -m callcontrol.simulation platform --help``.
One module per wire format (``generic``); ``scenarios`` says what happens to a call, ``reporting`` what we hear of it.
What it did is told by ``GET /sim/calls``. The same seed and the same references make the same calls.
"""
