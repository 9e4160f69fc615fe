"""One module a platform: `parse(payload) -> records`, pure, never raising but for a body that cannot be read at all."""

from cdr.adapters import generic, native
from cdr.messages import Adapter

ADAPTERS: dict[str, Adapter] = {"native": native.ADAPTER, "generic": generic.ADAPTER}
