"""The routes that answer for models: in OpenAI's and Anthropic's shapes, and the simple ones."""

from service.docs import anthropic_examples as anthropic
from service.docs import openai_examples as openai
from service.docs import own_examples as own
from service.docs.route import Events, Route
from service.docs.schemas import reference
from service.errors import ModelNotFound
from service.wire.anthropic import StreamEvent
from service.wire.openai import ChatCompletionChunk, Completion
from service.wire.simple import SimpleDone, SimpleToken

_ENDS = (
    " Comment lines (`: heartbeat`) keep a silent stream alive. A stream that breaks off ends with an `error`"
    " event, and then %s never comes: without it an answer is not complete."
)

_CHAT_EVENTS = Events(
    "Each `data:` line holds a chunk; after the last one comes `data: [DONE]`. The usage chunk comes only with"
    " `stream_options.include_usage`." + _ENDS % "`[DONE]`",
    (ChatCompletionChunk,),
    openai.CHAT_STREAMS,
)

_COMPLETION_EVENTS = Events(
    "Each `data:` line holds a piece; after the last one comes `data: [DONE]`." + _ENDS % "`[DONE]`",
    (Completion,),
    openai.COMPLETION_STREAMS,
)

_MESSAGE_EVENTS = Events(
    "Each event has its name in `event:` and again as `type` in its `data:`: `message_start`, then each block's"
    " `content_block_start`, `content_block_delta`s and `content_block_stop`, then `message_delta` and"
    " `message_stop`." + _ENDS % "`message_stop`",
    (StreamEvent,),
    anthropic.MESSAGES_STREAMS,
    end_mark="",
)

_SIMPLE_EVENTS = Events(
    'Each `data:` line holds `{"token": …}`; then one holds what the answer took, with `"done": true`; then'
    " comes `data: [DONE]`." + _ENDS % "`[DONE]`",
    (SimpleToken, SimpleDone),
    own.SIMPLE_STREAMS,
)

INFERENCE_ROUTES: dict[tuple[str, str], Route] = {
    ("post", "/v1/chat/completions"): Route(
        tag="OpenAI",
        name="createChatCompletion",
        summary="Answer a conversation",
        description="Fields that are not listed go to the provider untouched, and unknown fields of its answer"
        " come back untouched.",
        requests=openai.CHAT_REQUESTS,
        answers=openai.CHAT_ANSWERS,
        events=_CHAT_EVENTS,
        asks_model=True,
    ),
    ("post", "/v1/completions"): Route(
        tag="OpenAI",
        name="createCompletion",
        summary="Continue a text",
        description="For OpenAI-compatible providers and the simulated model; Anthropic's have no such operation.",
        requests=openai.COMPLETION_REQUESTS,
        answers=openai.COMPLETION_ANSWERS,
        events=_COMPLETION_EVENTS,
        asks_model=True,
    ),
    ("post", "/v1/embeddings"): Route(
        tag="OpenAI",
        name="createEmbedding",
        summary="Turn texts into vectors",
        requests=openai.EMBEDDING_REQUESTS,
        answers=openai.EMBEDDING_ANSWERS,
        asks_model=True,
    ),
    ("get", "/v1/models"): Route(
        tag="OpenAI", name="listModels", summary="List the models", answers=openai.MODELS_ANSWERS
    ),
    ("get", "/v1/models/{model_id}"): Route(
        tag="OpenAI",
        name="getModel",
        summary="Show one model",
        answers=openai.MODEL_ANSWERS,
        failures=(ModelNotFound,),
    ),
    ("post", "/v1/messages"): Route(
        tag="Anthropic",
        name="createMessage",
        summary="Answer a conversation",
        requests=anthropic.MESSAGES_REQUESTS,
        answers=anthropic.MESSAGES_ANSWERS,
        events=_MESSAGE_EVENTS,
        asks_model=True,
    ),
    ("post", "/v1/messages/count_tokens"): Route(
        tag="Anthropic",
        name="countTokens",
        summary="Count input tokens",
        requests=anthropic.COUNT_TOKENS_REQUESTS,
        answers=anthropic.COUNT_TOKENS_ANSWERS,
        asks_model=True,
    ),
    ("post", "/chat"): Route(
        tag="Simple",
        name="chat",
        summary="Answer a message",
        description="Without `model` the first configured one answers.",
        requests=own.SIMPLE_REQUESTS,
        answers=own.SIMPLE_ANSWERS,
        asks_model=True,
    ),
    ("post", "/stream"): Route(
        tag="Simple",
        name="streamChat",
        summary="Stream the answer to a message",
        description="Without `model` the first configured one answers.",
        requests=own.SIMPLE_REQUESTS,
        events=_SIMPLE_EVENTS,
        asks_model=True,
    ),
    ("post", "/chat/batch"): Route(
        tag="Simple",
        name="chatBatch",
        summary="Answer up to 100 messages",
        requests=own.BATCH_REQUESTS,
        answers=own.BATCH_ANSWERS,
        answer_schema=reference("BatchAnswer"),
    ),
}
