"""The rows of this room, by noun."""

from callcontrol.models.calls import Callback, CallbackEvent, CallSlot
from callcontrol.models.disputes import Dispute
from callcontrol.models.gate import GatePolicy, PendingUse
from callcontrol.models.people import Agent, BusinessHours, DisplayNumber, NumberListEntry
from callcontrol.models.platforms import PlatformAccount

__all__ = [
    "Agent", "BusinessHours", "CallSlot", "Callback", "CallbackEvent", "DisplayNumber", "Dispute", "GatePolicy",
    "NumberListEntry", "PendingUse", "PlatformAccount",
]  # fmt: skip
