"""OpenAI's Chat Completions and Anthropic's Messages, each in the other's words. Pure: bytes in, bytes out."""

from service.chat.translate.answers import completion_to_message, message_to_completion
from service.chat.translate.requests_to_anthropic import chat_to_messages
from service.chat.translate.requests_to_openai import messages_to_chat
from service.chat.translate.result import Translated, Untranslatable
from service.chat.translate.streams_to_anthropic import ChunksToMessages
from service.chat.translate.streams_to_openai import MessagesToChunks

__all__ = [
    "ChunksToMessages",
    "MessagesToChunks",
    "Translated",
    "Untranslatable",
    "chat_to_messages",
    "completion_to_message",
    "message_to_completion",
    "messages_to_chat",
]
