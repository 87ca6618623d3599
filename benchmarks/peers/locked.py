"""What a lock file says. Pure."""

import re


def locked_version(lock: str, package: str) -> str:
    """The version that `lock` pins `package` to; what its hashes let in is exactly that.

    Raises KeyError where it isn't pinned.
    """
    pinned = re.search(rf"^{re.escape(package)}==([^\s;\\]+)", lock, re.MULTILINE)
    if pinned is None:
        raise KeyError(package)
    return pinned.group(1)
