"""`/admin/keys`: HTTP on one side, `KeyService` on the other."""

from typing import Final

from litestar import Controller, Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody

from service.documented import After, Limit, answer
from service.http.request import GatewayRequest
from service.keys.bodies import ChangeKey, CreateKey, KeyPage, KeyView, NewKeyView, RotateKey
from service.keys.service import KeyService
from service.paging import page_size
from service.principal import Scope

UNCACHED: Final = {"cache-control": "no-store"}
"""For answers that show a secret."""

WITHOUT_OVERLAP: Final = RotateKey()

CREATED = answer(NewKeyView, "The key with its secret, which is shown only now.", 201)
ROTATED = answer(NewKeyView, "The key with its new secret, which is shown only now.")
SHOWN = answer(KeyView, "The key, without its secret.")
PAGE = answer(KeyPage, "The newest keys first.")


class OptionalBody(GatewayRequest):
    """A request whose handler has a default for its body."""

    async def body(self) -> bytes:
        """The raw body; empty where none was sent."""
        for name, value in self.scope["headers"]:
            if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
                return await super().body()
        return b""


class KeysController(Controller):
    """Keys of callers."""

    path = "/admin/keys"

    @post("/", responses=CREATED, access=Scope.ADMIN)
    async def create_key(self, request: GatewayRequest, data: JSONBody[CreateKey]) -> Response[NewKeyView]:
        """Make a key; the answer is the only place that shows it."""
        return Response(await key_service(request).create(data), headers=UNCACHED)

    @get("/", responses=PAGE, access=Scope.ADMIN)
    async def list_keys(self, request: GatewayRequest, limit: Limit = None, after: After = None) -> KeyPage:
        """List keys, the newest first, revoked ones too."""
        return await key_service(request).list(after=after, limit=page_size(limit))

    @get("/{key_id:str}", responses=SHOWN, access=Scope.ADMIN)
    async def get_key(self, request: GatewayRequest, key_id: FromPath[str]) -> KeyView:
        """Show a key, without its secret."""
        return await key_service(request).get(key_id)

    @patch("/{key_id:str}", responses=SHOWN, access=Scope.ADMIN)
    async def update_key(
        self, request: GatewayRequest, key_id: FromPath[str], data: JSONBody[ChangeKey]
    ) -> KeyView:
        """Change what is named; null clears it."""
        return await key_service(request).update(key_id, data)

    @delete("/{key_id:str}", access=Scope.ADMIN)
    async def revoke_key(self, request: GatewayRequest, key_id: FromPath[str]) -> None:
        """End a key for good, everywhere within a second."""
        await key_service(request).revoke(key_id)

    @post(
        "/{key_id:str}/rotate",
        status_code=200,
        responses=ROTATED,
        access=Scope.ADMIN,
        request_class=OptionalBody,
    )
    async def rotate_key(
        self, request: GatewayRequest, key_id: FromPath[str], data: JSONBody[RotateKey] = WITHOUT_OVERLAP
    ) -> Response[NewKeyView]:
        """Give a key a new secret; the answer is the only place that shows it."""
        return Response(await key_service(request).rotate(key_id, data), headers=UNCACHED)


def key_service(request: GatewayRequest) -> KeyService:
    """The use case, as `lifespan` opened it."""
    service: KeyService = request.app.state.services.keys
    return service
