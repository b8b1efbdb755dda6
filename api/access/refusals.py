"""Refusals: the problem with which a request is answered if `api/access/roles.py` does not allow it."""

from __future__ import annotations

from api.access.roles import Caller, Forbidden, Right, forbids_right
from api.messages.problems import Fault, Problem, fault


def fault_of_role(forbidden: Forbidden) -> Fault:
    """Return a refusal by role as a fault."""
    return fault("forbidden", f"{forbidden.rule}; {forbidden.remedy}", field=forbidden.field, remedy=forbidden.remedy)


def require(caller: Caller, right: Right) -> None:
    """Raise a Problem unless the key's role has this right."""
    if forbidden := forbids_right(caller, right):
        raise Problem(fault_of_role(forbidden))
