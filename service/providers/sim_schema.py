"""A small value that fits a JSON Schema, the same each time: simulated tool arguments. Pure.

Looks at type, enum, const, default, required properties, items with minItems, minimum, minLength,
anyOf, oneOf, allOf and local references, which is what SDKs generate. A schema that is no schema
gets `{}`.
"""

import msgspec

from service.wire.openai import JsonObject

MAX_CHARACTERS = 100_000
"""About how long an example may get: a few references, or a long default, can ask for billions."""

VALUE_CHARACTERS = 8
"""What a value of our own making is reckoned to take."""

MAX_DEPTH = 32
MAX_REPEATED = 100

Example = str | int | float | bool | list["Example"] | dict[str, "Example"] | msgspec.Raw | None


class _Schema(msgspec.Struct, frozen=True, rename={"any_of": "anyOf", "one_of": "oneOf", "all_of": "allOf"}):
    type: str | list[str] | None = None
    enum: list[msgspec.Raw] | None = None
    const: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    default: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    properties: dict[str, "_Schema"] = {}
    required: list[str] = []
    items: "_Schema | bool | None" = None
    minimum: float | None = None
    min_items: int = msgspec.field(default=0, name="minItems")
    min_length: int = msgspec.field(default=0, name="minLength")
    any_of: list["_Schema"] = []
    one_of: list["_Schema"] = []
    all_of: list["_Schema"] = []
    ref: str | None = msgspec.field(default=None, name="$ref")
    defs: dict[str, "_Schema"] = msgspec.field(default_factory=dict, name="$defs")
    definitions: dict[str, "_Schema"] = {}


_SCHEMA = msgspec.json.Decoder(_Schema)


def example(schema: JsonObject) -> str:
    """JSON text of a value that fits `schema`."""
    try:
        root = _SCHEMA.decode(msgspec.json.encode(schema))
    except msgspec.ValidationError:
        return "{}"
    return msgspec.json.encode(_Examples(root).of(root)).decode()


class _Examples:
    """Makes values for the parts of one schema, and makes no more once MAX_CHARACTERS are reached."""

    def __init__(self, root: _Schema) -> None:
        self._named = root.definitions | root.defs
        self._left = MAX_CHARACTERS

    def of(self, schema: _Schema, depth: int = 0) -> Example:
        if depth > MAX_DEPTH or not self._fits(VALUE_CHARACTERS):
            return None
        for given in (schema.const, schema.default, schema.enum[0] if schema.enum else msgspec.UNSET):
            if not isinstance(given, msgspec.UnsetType):
                return given if self._fits(len(given)) else None
        if schema.ref is not None:
            named = self._named.get(schema.ref.rpartition("/")[2])
            return self.of(named, depth + 1) if named else None
        if options := schema.any_of or schema.one_of:
            return self.of(options[0], depth + 1)
        if schema.all_of:
            return self._merged(schema, depth)
        return self._of_type(schema, depth)

    def _fits(self, characters: int) -> bool:
        self._left -= characters
        return self._left >= 0

    def _of_type(self, schema: _Schema, depth: int) -> Example:
        kind = schema.type[0] if isinstance(schema.type, list) and schema.type else schema.type
        if kind == "object" or (kind is None and schema.properties):
            names = [name for name in schema.required[:MAX_REPEATED] if self._fits(len(name))]
            return {name: self.of(schema.properties.get(name, _Schema()), depth + 1) for name in names}
        if kind == "array":
            item = schema.items if isinstance(schema.items, _Schema) else _Schema(type="string")
            repeated = range(min(schema.min_items, MAX_REPEATED))
            return [self.of(item, depth + 1) for _ in repeated if self._fits(VALUE_CHARACTERS)]
        if kind in ("integer", "number"):
            return 1 if schema.minimum is None else _number(schema.minimum)
        if kind == "boolean":
            return True
        return None if kind == "null" else "example".ljust(min(schema.min_length, MAX_REPEATED), ".")

    def _merged(self, schema: _Schema, depth: int) -> Example:
        parts = [self.of(part, depth + 1) for part in schema.all_of]
        objects = [part for part in parts if isinstance(part, dict)]
        own = self._of_type(schema, depth) if schema.properties else {}
        merged = own if isinstance(own, dict) else {}
        for part in objects:
            merged = part | merged
        return merged if objects or merged else parts[0]


def _number(value: float) -> int | float:
    return int(value) if value.is_integer() else value
