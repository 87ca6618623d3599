"""Penstock: one service in front of any model provider, for OpenAI and Anthropic SDKs."""

__version__ = "0.1.0"
