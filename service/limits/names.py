"""Whose limits are meant, from names as clients write them to subjects as stores and meters call them. Pure."""

import re
from typing import Final, NamedTuple

from service.errors import InvalidRequest
from service.limits.base import Subject
from service.limits.policy import user_subject

MAX_NAME_CHARACTERS: Final = 256

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Place(NamedTuple):
    """Whose limits are meant, as stores and meters call it."""

    subject: Subject
    subject_id: str


def tenant_place(tenant: str) -> Place:
    """A tenant. Raises InvalidRequest where that can't be a name."""
    return Place(Subject.TENANT, checked(tenant, "tenant"))


def user_place(user: str, tenant: str | None) -> Place:
    """A user. tenant: None: of no tenant. Raises InvalidRequest where one can't be a name."""
    of = "" if tenant is None else checked(tenant, "tenant")
    return Place(Subject.USER, user_subject(of, checked(user, "user")))


def checked(name: str, param: str, at_most: int = MAX_NAME_CHARACTERS) -> str:
    """`name`, if it may be one: the same rules as for names in a key. Raises InvalidRequest, naming `param`."""
    if not 1 <= len(name) <= at_most or _CONTROL.search(name):
        raise InvalidRequest(
            f"{param}: from 1 to {at_most} characters, none of them a control character.", param=param
        )
    return name
