"""What people are told about calls under the bell: the wording of each kind of notice."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

WORDINGS: Mapping[str, "str | Promise"] = {
    "dispute.opened": _("An agent disputes the call to %(number)s."),
    "dispute.accepted": _("Your dispute about the call to %(number)s was accepted: %(answer)s"),
    "dispute.declined": _("Your dispute about the call to %(number)s was declined: %(answer)s"),
}
