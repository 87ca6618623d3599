"""Where a configuration comes from, so that a running server can read it again."""

import os
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from service.config.load import HasKeys, load
from service.config.settings import Settings


class Source(Struct, frozen=True, kw_only=True):
    """What the command line said, and where it was said. See `load` for each.

    has_file: whether a file was read at the start. Then one that is gone is a mistake: to go on without
    it would be to serve anybody.
    """

    config_path: Path | None
    overrides: Mapping[str, object]
    insecure_no_auth: bool
    working_directory: Path
    has_file: bool

    def read(self, has_keys: HasKeys) -> Settings:
        """Read file, environment and flags as they are now. Raises ConfigInvalid with every mistake."""
        return load(
            config_path=self.config_path,
            environment=os.environ,
            overrides=self.overrides,
            insecure_no_auth=self.insecure_no_auth,
            working_directory=self.working_directory,
            has_keys=has_keys,
            has_file=self.has_file,
        )
