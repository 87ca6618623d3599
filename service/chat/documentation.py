"""What the inference routes answer, for the OpenAPI document: a type and a sentence for each.

`service.docs` adds what no signature says: streamed answers, examples, headers and errors.
"""

from litestar.openapi import ResponseSpec

from service.wire.anthropic import CountTokensAnswer, Message
from service.wire.openai import ChatCompletion, Completion, EmbeddingResponse, ModelCard, ModelList
from service.wire.simple import SimpleAnswer, SimpleToken

Responses = dict[int, ResponseSpec]


def _answer(body: type, description: str, media_type: str = "application/json") -> Responses:
    # Examples that the framework makes up cost an import of 40 MB, and look made up.
    return {
        200: ResponseSpec(
            data_container=body, description=description, media_type=media_type, generate_examples=False
        )
    }


CHAT = _answer(ChatCompletion, "The whole answer; with `stream: true` its chunks as they come.")
COMPLETIONS = _answer(Completion, "The whole text; with `stream: true` its pieces as they come.")
EMBEDDINGS = _answer(EmbeddingResponse, "One vector for each input, in their order.")
MESSAGES = _answer(Message, "The whole message; with `stream: true` its events as they come.")
COUNT_TOKENS = _answer(CountTokensAnswer, "The number of input tokens.")
MODELS = _answer(ModelList, "All models, the configured ones first.")
MODEL = _answer(ModelCard, "The model.")
SIMPLE = _answer(SimpleAnswer, "The answer, what it took and what it cost.")
SIMPLE_STREAM = _answer(
    SimpleToken, "The answer's tokens as they come, then what it took.", "text/event-stream"
)
BATCH = _answer(dict, "An answer or a problem for each item, in the items' order.")
