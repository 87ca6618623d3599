"""What a person sees when the server starts, and what `penstock check` prints."""

from service import __version__
from service.config import Settings
from service.config.urls import is_loopback

ROUTES = (
    ("POST /v1/chat/completions", "OpenAI chat, JSON or SSE"),
    ("POST /v1/messages", "Anthropic messages, JSON or SSE"),
    ("POST /v1/messages/count_tokens", "tokens of a prompt"),
    ("POST /v1/embeddings", "OpenAI embeddings"),
    ("POST /v1/completions", "OpenAI completions"),
    ("GET  /v1/models", "the models to choose from"),
    ("POST /chat, /stream, /chat/batch", "one message in, one answer out"),
    ("GET  /livez, /readyz, /health", "how it does"),
    ("GET  /metrics", "Prometheus"),
    ("GET  /docs, /openapi.json", "all of this in detail"),
)


def url(settings: Settings) -> str:
    """Where a person on this machine reaches the server."""
    host = settings.server.host
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{host}:{settings.server.port}"


def banner(settings: Settings) -> str:
    """A few lines: where it is, what it serves, where to read on, and who may ask."""
    address = url(settings)
    return "\n".join(
        (
            "",
            f"  Penstock {__version__}",
            "",
            f"  Listening   {address}",
            f"  Docs        {address}/docs",
            f"  Models      {', '.join(_models(settings))}",
            f"  Config      {settings.source or 'none: the defaults, and the keys in the environment'}",
            f"  Auth        {_auth(settings)}",
            "",
            f"  Try it      curl -N {address}/stream -H 'content-type: application/json' \\",
            '                   -d \'{"message": "Hello!"}\'',
            "",
        )
    )


def describe_routes(settings: Settings) -> str:
    """What a valid configuration serves: models with their targets, then the routes."""
    lines = [f"{settings.source or 'No file'}: valid.", "", "Models"]
    for model in settings.models:
        targets = ", ".join(
            f"{target.provider}/{target.model} x{target.weight:g}" for target in model.targets
        )
        lines.append(f"  {model.name}  ->  {targets}{_behind(model.fallbacks)}")
    used = {target.provider for model in settings.models for target in model.targets}
    lines += [
        f"  {provider.name}/*  ->  {provider.kind}{'' if provider.kind == 'sim' else ' at ' + provider.base_url}"
        for provider in settings.providers
        if provider.name not in used
    ]
    lines += ["", "Secrets"]
    lines += [
        f"  {provider.name}: {'present' if provider.api_key else 'none'}" for provider in settings.providers
    ]
    lines += ["", "Routes"]
    lines += [f"  {route:<34} {what}" for route, what in ROUTES]
    return "\n".join(lines)


def _models(settings: Settings) -> list[str]:
    used = {target.provider for model in settings.models for target in model.targets}
    configured = [model.name for model in settings.models]
    open_ended = [
        "sim (simulated)" if provider.kind == "sim" else f"{provider.name}/<any model>"
        for provider in settings.providers
        if provider.name not in used
    ]
    return configured + open_ended


def _auth(settings: Settings) -> str:
    if settings.insecure_no_auth:
        return "OFF (--insecure-no-auth): whoever reaches the port may ask"
    if settings.auth.required is False:
        return "OFF (auth.required = false): whoever reaches the port may ask"
    if settings.auth.required or settings.auth.jwt or not is_loopback(settings.server.host):
        return "callers need a key"
    return "open to this machine only, until the first key is made (penstock keys create)"


def _behind(fallbacks: tuple[str, ...]) -> str:
    return f"  (then {', '.join(fallbacks)})" if fallbacks else ""
