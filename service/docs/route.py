"""What a row of the tables of routes says. Pure."""

import msgspec

from service.docs.schemas import Json
from service.errors import GatewayError


class Events(msgspec.Struct, frozen=True):
    """A streamed answer. holds: the types of its events' data; examples: by name.

    end_mark: the data of the event that says that all is there, where it is no JSON.
    """

    description: str
    holds: tuple[type[msgspec.Struct], ...]
    examples: Json
    end_mark: str = "[DONE]"


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `name` is the operation id; requests, answers and csv: examples by name.

    failures: beside those that every route has. asks_model: answers have the headers that say
    which model answered, and how much of the caller's limits is left. events: beside a whole
    answer, or instead of one. csv: for `Accept: text/csv`. needs_body: false where the body that
    the route takes may be left out. for_operators: the route itself, not the application's guard, looks who is asking.
    takes_ticket: the same, and a ticket will do. headers: further ones of its good answers. A route with events names
    their stream.
    """

    tag: str
    name: str
    summary: str
    description: str = ""
    requests: Json = {}
    needs_body: bool = True
    answers: Json = {}
    answer_schema: Json | None = None
    csv: Json = {}
    events: Events | None = None
    failures: tuple[type[GatewayError], ...] = ()
    asks_model: bool = False
    for_operators: bool = False
    takes_ticket: bool = False
    headers: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
