"""Tell from a file's path which of AWS's exports it is of, and which delivery of it.

AWS names the folders itself: below a report's own each month has one, and where every delivery is kept beside the
earlier ones, each has one below that. So two reports of one account, such as an hourly and a daily one, are told apart
where nothing in their rows says so.
"""

from __future__ import annotations

import re

_MONTH = r"(?:\d{8}-\d{8}|BILLING_PERIOD=\d{4}-\d{2})/"
_IN_MONTHS = re.compile(rf"(?P<report>(?:.*/)?){_MONTH}(?:(?P<run>[^/]+)/)?[^/]+")
_IN_YEARS = re.compile(r"(?P<report>(?:.*/)?(?P<name>[^/]+)/(?P=name)/)year=\d{4}/month=\d{1,2}/(?P<run>)[^/]+")


def find_export(file: str) -> str:
    """Name the export and the delivery that a file is of; '' where its folders aren't AWS's.

    >>> find_export("bills/cur/20260901-20261001/5a1e/cur-1.csv.gz")
    'bills/cur 5a1e'
    >>> find_export("bills/focus/data/BILLING_PERIOD=2026-09/focus-00001.parquet"), find_export("bills/september.csv")
    ('bills/focus/data', '')
    """
    found = _IN_MONTHS.fullmatch(file) or _IN_YEARS.fullmatch(file)
    return " ".join(filter(None, (found["report"].rstrip("/"), found["run"]))) if found else ""
