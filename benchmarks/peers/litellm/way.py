"""LiteLLM's proxy as a way: one worker, no database, no callers' keys, nothing but chat completions asked."""

from pathlib import Path

from benchmarks.lab.processes import free_port
from benchmarks.lab.subjects import PLAIN, Inapplicable, Launcher, Subject, Variant
from benchmarks.peers.locked import locked_version

REQUIREMENTS = Path(__file__).parent / "requirements.txt"

_CONFIG = """\
model_list:
  - model_name: bench
    litellm_params:
      model: openai/mock
      api_base: http://127.0.0.1:{upstream}/v1
      api_key: bench
"""
_ENVIRONMENT = {
    # Without it the proxy reads every .env file above the place it is installed in.
    "LITELLM_MODE": "PRODUCTION",
    # As Penstock's plain configuration: whoever reaches the loopback port may ask.
    "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
    # Tables that it would fetch from the internet at start come from its package; nothing is reported home.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
    "LITELLM_TELEMETRY_DISABLED": "True",
}


class LiteLlm:
    """The proxy, on uvicorn. python: that of an environment made from `REQUIREMENTS`."""

    name = "litellm"

    def __init__(self, python: Path) -> None:
        self._python = python

    def identity(self) -> str:
        """Its version."""
        return locked_version(REQUIREMENTS.read_text(), "litellm")

    def start(self, lab: Launcher, variant: Variant) -> Subject:
        """A fresh one, ready; that takes some seconds.

        Raises StartFailed; Inapplicable for any variant but the plain one.
        """
        if variant != PLAIN:
            raise Inapplicable(f"{self.name} has no {variant.name} here")
        port = free_port()
        config = lab.write("litellm.yaml", _CONFIG.format(upstream=lab.upstream_port))
        command = [str(self._python), "-I", "-m", "litellm.proxy.proxy_cli", "--config", config]
        server = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        return lab.launch(self.name, [*command, *server], port, "/health/readiness", _ENVIRONMENT)
