"""What a process keeps of decks, and when it looks again. 费率缓存. Losing all of it costs time, never a price.

`live` (what counts now, looked up once a second), `in_memory` (compiled versions), `on_demand` (single heads of numbers
until a version is compiled), `hot` (the same in Valkey), `stored` (rows read in bulk), `periods` (a whole period).
"""
