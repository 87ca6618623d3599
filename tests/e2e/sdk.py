"""The vendors' own clients, pointed at a gateway: no retries, no proxies, and a key that must stay here."""

import anthropic
import openai

from tests.e2e.gateway import NO_TLS, Gateway

CLIENT_KEY = "client-key"


def openai_client(gateway: Gateway) -> openai.OpenAI:
    """OpenAI's; close it."""
    http = openai.DefaultHttpxClient(trust_env=False, verify=NO_TLS)
    return openai.OpenAI(base_url=gateway.openai_url, api_key=CLIENT_KEY, max_retries=0, http_client=http)


def async_openai_client(gateway: Gateway) -> openai.AsyncOpenAI:
    """OpenAI's async one; close it."""
    http = openai.DefaultAsyncHttpxClient(trust_env=False, verify=NO_TLS)
    return openai.AsyncOpenAI(
        base_url=gateway.openai_url, api_key=CLIENT_KEY, max_retries=0, http_client=http
    )


def anthropic_client(gateway: Gateway) -> anthropic.Anthropic:
    """Anthropic's; close it."""
    http = anthropic.DefaultHttpxClient(trust_env=False, verify=NO_TLS)
    return anthropic.Anthropic(base_url=gateway.origin, api_key=CLIENT_KEY, max_retries=0, http_client=http)


def async_anthropic_client(gateway: Gateway) -> anthropic.AsyncAnthropic:
    """Anthropic's async one; close it."""
    http = anthropic.DefaultAsyncHttpxClient(trust_env=False, verify=NO_TLS)
    return anthropic.AsyncAnthropic(
        base_url=gateway.origin, api_key=CLIENT_KEY, max_retries=0, http_client=http
    )
