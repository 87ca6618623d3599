"""Makes a gateway slower on purpose, to prove that a comparison finds it.

Python imports this at its start where this folder is on its path (`site`, "sitecustomize"). Each
request to the gateway then first spends BENCH_PLANTED_NS nanoseconds of CPU.
"""

import importlib.util
import os
import sys
import time
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

_WHERE = "service.http.edge"


class _Planting(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        edge, spend_ns = module.Edge, int(os.environ["BENCH_PLANTED_NS"])
        call = edge.__call__

        async def slower(self: object, scope: object, receive: object, send: object) -> None:
            end = time.thread_time_ns() + spend_ns
            while time.thread_time_ns() < end:
                pass
            await call(self, scope, receive, send)

        edge.__call__ = slower


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: object, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _WHERE:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _Planting(spec.loader)
        return spec


sys.meta_path.insert(0, _Finder())
