"""Which of two formats a caller wants. Pure."""


def wants_csv(accept: str) -> bool:
    """Whether an `Accept` header names `text/csv`, and JSON not more (RFC 9110, 12.5.1)."""
    quality = {"text/csv": 0.0, "application/json": 0.0}
    for part in accept.split(","):
        media_type, *parameters = (piece.strip().lower() for piece in part.split(";"))
        if media_type in quality:
            quality[media_type] = _quality(parameters)
    return quality["text/csv"] > 0 and quality["text/csv"] >= quality["application/json"]


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
