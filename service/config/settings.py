"""Every setting, as frozen Structs: the single source of types, defaults, ranges and descriptions.

`service.config.reading` turns a file's tables into these and names what is wrong by them;
`service.config.reference` writes the reference page from them. Nothing here reads anything.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from service.config.limits import UNLIMITED, Limits
from service.config.secret import Secret
from service.config.urls import without_password

# A timer longer than a day is a typing mistake, and event loops overflow far beyond it.
DAY_SECONDS = 86_400

Seconds = Annotated[float, Meta(gt=0, le=DAY_SECONDS)]
SecondsFromZero = Annotated[float, Meta(ge=0, le=DAY_SECONDS)]
# Names travel in headers (X-Penstock-Model, X-Penstock-Target): nothing that could end one.
ModelName = Annotated[
    str,
    Meta(pattern=r"\A[!-~](?:[ -~]*[!-~])?\Z", max_length=256, extra={"expected": "printable ASCII text"}),
]
ProviderName = Annotated[
    str,
    Meta(
        pattern=r"\A[A-Za-z0-9._-]+\Z",
        max_length=64,
        extra={"expected": 'letters, digits, ".", "_" and "-", at most 64 (no "/")'},
    ),
]
UsdPerMillion = Annotated[float, Meta(ge=0, le=1_000_000)]


class Server(Struct, frozen=True, kw_only=True):
    """Where Penstock listens, and the bounds that it sets to clients."""

    host: Annotated[str, Meta(description="Address or name to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65_535, description="0 takes any free port.")] = 8000
    workers: Annotated[
        int, Meta(ge=1, le=256, description="Processes. More than one needs `store.redis`.")
    ] = 1
    drain_seconds: Annotated[
        SecondsFromZero, Meta(description="How long running requests may take to finish after SIGTERM.")
    ] = 30.0
    max_body_bytes: Annotated[int, Meta(ge=1, le=1 << 30, description="Larger bodies get 413.")] = 10_000_000
    body_timeout_seconds: Annotated[
        Seconds, Meta(description="A body must be complete by then, else 408.")
    ] = 30.0
    drain_delay_seconds: Annotated[
        SecondsFromZero,
        Meta(
            description="Keep the listener open that long after SIGTERM, with `/readyz` 503, for balancers."
        ),
    ] = 0.0
    cors_allow_origins: Annotated[
        tuple[str, ...],
        Meta(description='Origins whose pages may call, such as `"https://app.example.com"`, or `"*"`.'),
    ] = ()
    trusted_proxies: Annotated[
        tuple[str, ...],
        Meta(description="Networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed."),
    ] = ()
    root_path: Annotated[str, Meta(description="Path below which a proxy serves Penstock.")] = ""
    metrics_open: Annotated[bool, Meta(description="Show `/metrics` and all of `/health` without a key.")] = (
        False
    )


class Store(Struct, frozen=True, kw_only=True):
    """Where state is kept. A password in a URL never shows in `repr`."""

    database: Annotated[
        str, Meta(description="`sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/NAME`.")
    ] = "sqlite:///.penstock/penstock.db"
    redis: Annotated[
        str | None, Meta(description="`redis://HOST:PORT/N` or `rediss://…`; state that workers share.")
    ] = None
    journal: Annotated[
        str,
        Meta(
            description="A directory on a local disk: what is not in the database yet survives a crash there."
        ),
    ] = ".penstock/journal"
    journal_max_bytes: Annotated[
        int,
        Meta(
            ge=16_000_000,
            le=1 << 40,
            description="Disk that one worker's journal may take while the database is away.",
        ),
    ] = 2_000_000_000

    def __repr__(self) -> str:
        redis = None if self.redis is None else without_password(self.redis)
        return f"Store(database={without_password(self.database)!r}, redis={redis!r})"


class JwtClaims(Struct, frozen=True, kw_only=True):
    """Which claim of a token says what; a dot leads into an object (`realm_access.roles`)."""

    tenant: Annotated[str, Meta(description="Text; a token without it has no tenant.")] = "tenant"
    user: Annotated[str, Meta(description="Text.")] = "sub"
    scopes: Annotated[
        str, Meta(description="Text with blanks between, or a list; names that are no scopes are left out.")
    ] = "scope"
    models: Annotated[str, Meta(description="The same, of models; without it all are allowed.")] = "models"


JwtAlgorithm = Literal["RS256", "ES256", "EdDSA"]


class Jwt(Struct, frozen=True, kw_only=True):
    """Tokens of an identity provider, as `Authorization: Bearer`; they need a key set from one place."""

    issuer: Annotated[str, Meta(min_length=1, description="What `iss` must be.")]
    audience: Annotated[str, Meta(min_length=1, description="What `aud` must be or hold.")]
    jwks_url: Annotated[
        str | None, Meta(description="Where the provider publishes its keys; http only on loopback.")
    ] = None
    jwks_file: Annotated[str | None, Meta(description="A file with the key set instead.")] = None
    algorithms: Annotated[
        tuple[JwtAlgorithm, ...], Meta(min_length=1, description="The signatures that are accepted.")
    ] = ("RS256", "ES256", "EdDSA")
    leeway_seconds: Annotated[
        SecondsFromZero, Meta(description="How far the clocks of two machines may be apart.")
    ] = 30.0
    refresh_seconds: Annotated[Seconds, Meta(description="How long a fetched key set is fresh.")] = 300.0
    stale_seconds: Annotated[
        SecondsFromZero, Meta(description="How long an old one serves while the provider is away.")
    ] = 86_400.0
    default_scopes: Annotated[
        tuple[str, ...], Meta(description="Scopes of a token without the claim; none: it may do nothing.")
    ] = ("chat", "embeddings", "ask", "batch")
    claims: Annotated[JwtClaims, Meta(description="What they are called.")] = JwtClaims()


class Auth(Struct, frozen=True, kw_only=True):
    """Who may call."""

    required: Annotated[
        bool | None,
        Meta(
            description=(
                "Not written: `true` once a key was ever created, with `[auth.jwt]`, or where the host is"
                " not loopback. `false`: any key or none, all callers are one owner."
            )
        ),
    ] = None
    admin_key: Annotated[Secret | None, Meta(description="A secret: the key for `/admin`.")] = None
    jwt: Annotated[Jwt | None, Meta(description="Tokens of an identity provider.")] = None


OutagePolicy = Literal["local", "open", "closed"]


class LimitSettings(Struct, frozen=True, kw_only=True):
    """Bounds by kind of caller and of request; nothing is limited unless it is said."""

    anonymous: Annotated[Limits, Meta(description="Each client address, for callers without a key.")] = (
        UNLIMITED
    )
    key: Annotated[Limits, Meta(description="Each key, where it says nothing itself.")] = UNLIMITED
    user: Annotated[Limits, Meta(description="Each user.")] = UNLIMITED
    tenant: Annotated[Limits, Meta(description="Each tenant.")] = UNLIMITED
    models: Annotated[dict[str, Limits], Meta(description="By the name that clients ask for.")] = {}
    routes: Annotated[dict[str, Limits], Meta(description='By path, such as `"/v1/embeddings"`.')] = {}
    rates_without_redis: Annotated[
        OutagePolicy,
        Meta(description="While Redis is away: each worker its share (`local`), no bound, or 503."),
    ] = "local"
    budgets_without_redis: Annotated[
        OutagePolicy,
        Meta(description="The same for budgets; `closed` answers 503, so that none is overspent."),
    ] = "closed"


class UsageSettings(Struct, frozen=True, kw_only=True):
    """What is done about the bill when a client leaves before its answer's end."""

    on_abort: Annotated[
        Literal["cancel", "drain"],
        Meta(description="Close the provider's connection, or read on for its usage."),
    ] = "cancel"
    drain_seconds: Annotated[Seconds, Meta(description="How long one answer is read on.")] = 30.0
    drain_streams: Annotated[
        int, Meta(ge=1, le=100_000, description="How many at one time, for each worker; more are cancelled.")
    ] = 64
    drain_tokens: Annotated[
        int, Meta(ge=1, le=100_000_000, description="How many tokens of one answer are read on.")
    ] = 4096


class TimeoutOverrides(Struct, frozen=True, kw_only=True):
    """Clocks on one call to a provider. The nearest level that names one wins: model, provider, global."""

    connect_seconds: Annotated[
        Seconds | None, Meta(description="Until the connection stands, TLS included.")
    ] = None
    first_token_seconds: Annotated[Seconds | None, Meta(description="Until a stream's first event.")] = None
    idle_seconds: Annotated[Seconds | None, Meta(description="Longest silence once an answer has begun.")] = (
        None
    )
    total_seconds: Annotated[
        Seconds | None, Meta(description="All of one request: attempts, waits and the answer.")
    ] = None
    answer_seconds: Annotated[
        Seconds | None,
        Meta(
            description=(
                "Until the first byte of an answer that is not streamed: it comes only when the model has"
                " finished. Not written: `first_token_seconds` where that is written, else `total_seconds`."
            )
        ),
    ] = None


class Timeouts(Struct, frozen=True, kw_only=True):
    """The clocks that hold for one target, all levels merged; see TimeoutOverrides for what each is."""

    connect_seconds: float = 5.0
    first_token_seconds: float = 30.0
    idle_seconds: float = 30.0
    total_seconds: float = 600.0
    answer_seconds: float = 600.0


def merge_timeouts(*levels: TimeoutOverrides) -> Timeouts:
    """Merge from far to near (global, provider, model): the last that names a clock wins.

    A first_token_seconds counts as answer_seconds too where its own level names none.
    """
    written: dict[str, float] = {}
    for level in levels:
        if level.first_token_seconds is not None:
            written["answer_seconds"] = level.first_token_seconds
        for name in TimeoutOverrides.__struct_fields__:
            seconds: float | None = getattr(level, name)
            if seconds is not None:
                written[name] = seconds
    written.setdefault("answer_seconds", written.get("total_seconds", Timeouts().total_seconds))
    return Timeouts(**written)


ProviderKind = Literal["sim", "openai", "anthropic"]


class Provider(Struct, frozen=True, kw_only=True):
    """A company or server that answers. Without `[[models]]` it serves any model as `provider/model`."""

    name: Annotated[ProviderName, Meta(description="How `targets` and `provider/model` call it.")]
    kind: Annotated[
        ProviderKind, Meta(description="Its dialect: `openai` is any OpenAI-compatible endpoint.")
    ]
    base_url: Annotated[
        str,
        Meta(
            description=(
                "Not written: `https://api.openai.com/v1` or `https://api.anthropic.com`, by kind."
                " Anthropic's works with and without `/v1`. `sim` has none."
            )
        ),
    ] = ""
    api_key: Annotated[Secret | None, Meta(description="A secret.")] = None
    stream_usage: Annotated[
        bool, Meta(description="Ask for usage in streams; `false` for servers that refuse the question.")
    ] = True
    timeouts: Annotated[TimeoutOverrides, Meta(description="As `[timeouts]`, for this provider.")] = (
        TimeoutOverrides()
    )


class TargetRef(Struct, frozen=True, kw_only=True):
    """One model at one provider, and its share of the traffic."""

    provider: Annotated[str, Meta(description="A provider's `name`.")]
    model: Annotated[ModelName, Meta(description="What that provider calls it.")]
    weight: Annotated[
        float, Meta(ge=0, le=1_000_000, description="Share among the targets; 0 is never chosen first.")
    ] = 1


class Price(Struct, frozen=True, kw_only=True):
    """USD per million tokens; beats the price table."""

    input: Annotated[UsdPerMillion, Meta(description="Prompt tokens.")]
    output: Annotated[UsdPerMillion, Meta(description="Answer tokens.")]
    cached_input: Annotated[
        UsdPerMillion | None, Meta(description="Prompt tokens read from a cache; not written: as `input`.")
    ] = None
    cache_write: Annotated[
        UsdPerMillion | None, Meta(description="Prompt tokens written to a cache; not written: as `input`.")
    ] = None


class Model(Struct, frozen=True, kw_only=True):
    """An alias: what clients ask for, and who answers."""

    name: Annotated[ModelName, Meta(description="What clients write as `model`; may contain `/`.")]
    targets: Annotated[
        tuple[TargetRef, ...],
        Meta(min_length=1, description="`{ provider = …, model = …, weight = … }`, one or more."),
    ]
    fallbacks: Annotated[
        tuple[str, ...], Meta(description="Other models' names, tried in order when this one's targets fail.")
    ] = ()
    max_output_tokens: Annotated[
        int,
        Meta(ge=1, le=100_000_000, description="Sent where the caller names no maximum and one is needed."),
    ] = 4096
    price: Annotated[Price | None, Meta(description="USD per million tokens; beats the price table.")] = None
    timeouts: Annotated[TimeoutOverrides, Meta(description="As `[timeouts]`, for this model.")] = (
        TimeoutOverrides()
    )


class Retries(Struct, frozen=True, kw_only=True):
    """How often one request may be tried."""

    max_attempts: Annotated[
        int, Meta(ge=1, le=100, description="Calls to providers for one request, fallbacks included.")
    ] = 3
    max_wait_seconds: Annotated[SecondsFromZero, Meta(description="All waits of one request together.")] = 5.0


class Streams(Struct, frozen=True, kw_only=True):
    """How streamed answers behave."""

    heartbeat_seconds: Annotated[Seconds, Meta(description="A comment after that much silence.")] = 15.0
    commit_after_seconds: Annotated[
        SecondsFromZero,
        Meta(
            description=(
                "No first event by then: send 200 and heartbeats, so that no proxy cuts the wait;"
                " later failures are error events."
            )
        ),
    ] = 15.0
    on_disconnect: Annotated[
        Literal["cancel", "linger", "finish"],
        Meta(
            description=(
                "When the last viewer leaves: the provider is cancelled at once, after linger_seconds, or never."
                " The header X-Penstock-On-Disconnect chooses for one request."
            )
        ),
    ] = "linger"
    linger_seconds: Annotated[
        SecondsFromZero,
        Meta(
            description="How long the provider's stream is kept for a reconnect after the last viewer left."
        ),
    ] = 5.0
    keep_seconds: Annotated[
        SecondsFromZero, Meta(description="How long a finished stream can be read again.")
    ] = 300.0
    max_bytes_per_stream: Annotated[
        int, Meta(ge=1, le=1 << 40, description="Memory for one stream's events.")
    ] = 4_000_000
    max_bytes_total: Annotated[
        int, Meta(ge=1, le=1 << 40, description="Memory for all streams' events in one worker.")
    ] = 256_000_000


class Sections(Struct, frozen=True, kw_only=True):
    """What a configuration file holds."""

    server: Server = Server()
    store: Store = Store()
    auth: Auth = Auth()
    providers: tuple[Provider, ...] = ()
    models: tuple[Model, ...] = ()
    timeouts: TimeoutOverrides = TimeoutOverrides()
    retries: Retries = Retries()
    streams: Streams = Streams()
    limits: LimitSettings = LimitSettings()
    usage: UsageSettings = UsageSettings()


class Settings(Sections, frozen=True, kw_only=True):
    """All that was configured, checked.

    insecure_no_auth: the operator said so on the command line.
    source: the file's name as the operator gave it; None where there is no file.
    """

    insecure_no_auth: bool = False
    source: str | None = None

    def timeouts_for(self, provider: Provider, model: Model | None) -> Timeouts:
        """The clocks for one call: global, then the provider's, then the model's; the nearest wins."""
        levels = (self.timeouts, provider.timeouts)
        return merge_timeouts(*levels, model.timeouts) if model else merge_timeouts(*levels)
