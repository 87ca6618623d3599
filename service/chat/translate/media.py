"""Images and documents: OpenAI's URLs and files against Anthropic's sources. Nothing is fetched."""

import base64
import binascii

from msgspec import UNSET, UnsetType

from service.chat.translate.result import Untranslatable
from service.wire.anthropic import ContentBlock, Source
from service.wire.openai import ContentPart, FilePart, ImageUrl


def image_block(part: ContentPart, path: str) -> ContentBlock:
    """An `image_url` part as an image block. Raises Untranslatable for other than http(s) and base64 data URLs."""
    if part.image_url is None:
        raise Untranslatable(f"{path}.image_url", "An image_url part needs its image_url; add it.")
    return ContentBlock(type="image", source=_source(part.image_url.url, f"{path}.image_url.url"))


def file_block(part: ContentPart, path: str) -> ContentBlock:
    """A `file` part as a document block: a PDF or plain text, given inline as a base64 data URL."""
    file = part.file
    if file is None or file.file_data is None:
        raise Untranslatable(
            f"{path}.file", "This model's provider can't read OpenAI's uploads; send file_data."
        )
    source = _source(file.file_data, f"{path}.file.file_data")
    if source.media_type == "text/plain":
        source = _plain_text(source, f"{path}.file.file_data")
    return ContentBlock(type="document", source=source, title=file.filename or UNSET)


def image_part(block: ContentBlock, path: str) -> ContentPart:
    """An image block as an `image_url` part. Raises Untranslatable for Anthropic's uploads."""
    return ContentPart(type="image_url", image_url=ImageUrl(_url(block.source, f"{path}.source")))


def document_part(block: ContentBlock, path: str) -> ContentPart:
    """A document block as a `file` part, or as text where it is plain text."""
    source = block.source
    if isinstance(source, Source) and source.type == "text":
        return ContentPart(type="text", text=source.data or "")
    if not isinstance(source, Source) or source.type != "base64":
        raise Untranslatable(
            f"{path}.source.type", "This model's provider takes documents inline; send base64 or text."
        )
    filename = block.title or "document.pdf"
    return ContentPart(
        type="file", file=FilePart(file_data=_url(source, f"{path}.source"), filename=filename)
    )


def _source(url: str, path: str) -> Source:
    if url.startswith(("https://", "http://")):
        return Source(type="url", url=url)
    head, comma, data = url.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise Untranslatable(path, "Send an http(s) URL, or a data URL in base64.")
    media_type = head.removeprefix("data:").partition(";")[0]
    return Source(type="base64", media_type=media_type, data=data)


def _plain_text(source: Source, path: str) -> Source:
    try:
        text = base64.b64decode(source.data or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise Untranslatable(path, "The file's data is not base64 of UTF-8 text; encode it anew.") from None
    return Source(type="text", media_type="text/plain", data=text)


def _url(source: Source | str | UnsetType | None, path: str) -> str:
    if isinstance(source, Source) and source.type == "url" and source.url:
        return source.url
    if isinstance(source, Source) and source.type == "base64" and source.media_type and source.data:
        return f"data:{source.media_type};base64,{source.data}"
    raise Untranslatable(
        f"{path}.type", "This model's provider takes images by URL or as base64; send one of these."
    )
