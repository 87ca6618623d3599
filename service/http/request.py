"""The request as Litestar hands it to a handler: its body read once, checked once, decoded once."""

from functools import cache
from typing import Any, cast

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.types import Empty

from service.errors import InvalidRequest, UnsupportedMediaType
from service.http.body import read_body
from service.http.context import Receive, RequestContext, Scope, context_of
from service.wire import strict


class GatewayRequest(Request[None, None, State]):
    """Replaces Litestar's body handling on JSON routes.

    A handler that takes `data: SomeStruct` gets it decoded straight from the request's bytes;
    `members` holds the same object's top-level values as the bytes that they were.
    """

    __slots__ = ("members",)

    members: strict.Members

    @classmethod
    def directly(cls, scope: Scope, receive: Receive) -> "GatewayRequest":
        """For a handler that is called past the framework and asks for `context`, `app`, `body`, `json`, `members`.

        What else a request has costs some 4 us to prepare, and nobody there looks at it.
        """
        request = cls.__new__(cls)
        request.scope = scope  # type: ignore[assignment]  # Litestar's own name for ASGI's dict
        request.receive = receive  # type: ignore[assignment]  # the same
        request._body = Empty  # noqa: SLF001 - of this class
        return request

    @property
    def context(self) -> RequestContext:
        """What the edge knows of this request."""
        return context_of(cast(Scope, self.scope))

    async def body(self) -> bytes:
        """The raw body, read at most once.

        Raises UnsupportedMediaType before a byte is read, then as `read_body` does.
        """
        if not isinstance(self._body, bytes):
            length = self._check_head()
            self._body = await read_body(cast(Receive, self.receive), self.context, length)
            if not self._body:
                raise InvalidRequest("The body is empty; send a JSON object.")
        return self._body

    async def json(self) -> Any:
        """The body as the Struct that the handler's `data` asks for.

        Raises InvalidRequest, naming the field.
        """
        body = await self.body()
        self.members = strict.members(body)
        data_field = self.route_handler.parsed_data_field
        decoder = _decoder(data_field.annotation if data_field is not None else object)
        try:
            return decoder.decode(body)
        except msgspec.ValidationError as error:
            raise invalid_field(str(error)) from None

    def _check_head(self) -> int | None:
        content_type, length = b"", None
        for name, value in self.scope["headers"]:
            if name == b"content-type":
                content_type = value
            elif name == b"content-length":
                length = int(value)
        if content_type != b"application/json" and not _is_json(content_type):
            raise UnsupportedMediaType(
                "Send the body as JSON with the header Content-Type: application/json."
            )
        return length


def invalid_field(message: str) -> InvalidRequest:
    """msgspec's message with its path moved to where the contract has it: `messages[0].role`."""
    text, _, place = message.partition(" - at `$")
    path = place.rstrip("`").removeprefix(".")
    if not path and text.startswith("Object missing required field `"):
        path = text.split("`")[1]
        return InvalidRequest(f"The field {path!r} is required.", param=path)
    if text.startswith("Object missing required field `"):
        path = f"{path}.{text.split('`')[1]}"
        return InvalidRequest(f"The field {path!r} is required.", param=path)
    if text.startswith("Object contains unknown field `"):
        path = ".".join(filter(None, (path, text.split("`")[1])))
        return InvalidRequest(f"The field {path!r} is not known here; leave it out.", param=path)
    return InvalidRequest(f"{path}: {text}." if path else f"{text}.", param=path or None)


def _is_json(content_type: bytes) -> bool:
    return content_type.partition(b";")[0].strip().lower() == b"application/json"


@cache
def _decoder(data_type: type) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(data_type)
