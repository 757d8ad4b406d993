"""Less memory for a while, so that what a damaged file asks for is refused and not taken."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SIZES = Path("/proc/self/statm")


@contextmanager
def memory_limited(more: int) -> Iterator[None]:
    """Let this process take so many bytes more at most; where the system does not say what it has, it is not limited.

    Raises:
        MemoryError: more was asked for. C libraries raise errors of their own then.
    """
    if not _SIZES.exists():
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = int(_SIZES.read_text(encoding="ascii").split()[0]) * resource.getpagesize() + more
    for limit in (soft, hard):
        most = most if limit == resource.RLIM_INFINITY else min(most, limit)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
