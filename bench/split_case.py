"""One allocation problem for two allocators: charges of 200 services, ten of them shared by the other 190.

Small enough to be said in a sentence, and both sides can express it: each shared service is divided among the others by
fixed keys; everything else is paid by the service itself.
"""

from __future__ import annotations

import random
import resource

SERVICES, SHARED, MONTH = 200, 10, "2026-07"
UNITS = 10_000  # the keys of one shared service add up to this: percentages with two decimals


def charges(n: int) -> list[tuple[str, str, int]]:
    """Draw charges as (service, environment, cents)."""
    g = random.Random(7)  # noqa: S311 - a benchmark's data
    return [(f"svc{g.randrange(SERVICES)}", g.choice(("prod", "dev")), g.randrange(1, 100_000)) for _ in range(n)]


def keys() -> dict[str, dict[str, int]]:
    """Draw the keys of every shared service."""
    g = random.Random(8)  # noqa: S311 - a benchmark's data
    made = {}
    for shared in range(SHARED):
        drawn = {f"svc{b}": g.randrange(1, 99) for b in range(SHARED, SERVICES)}
        total = sum(drawn.values())
        parts = {name: max(1, part * UNITS // total) for name, part in drawn.items()}
        parts[f"svc{SHARED}"] += UNITS - sum(parts.values())
        made[f"svc{shared}"] = parts
    return made


def cpu_seconds() -> float:
    """Tell how much CPU this process has used, all threads together."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mb() -> int:
    """Tell the most memory this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
