from cdr.models.deliveries import Delivery, OpenDelivery, ReviewItem
from cdr.models.providers import FilterRule, Provider
from cdr.models.records import CallDetail, CallKey, CallRecord, FilterDecision

__all__ = [
    "CallDetail", "CallKey", "CallRecord", "Delivery", "FilterDecision", "FilterRule", "OpenDelivery", "Provider",
    "ReviewItem",
]  # fmt: skip
