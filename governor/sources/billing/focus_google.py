"""Google's FOCUS view and FOCUS table: a billing account where the sub account belongs, inclusive periods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from governor.sources.billing import gcp
from governor.sources.billing.layout import Layout, Own
from governor.tables import TIME

_GOOGLE = {"xcosttype", "xcredits", "xexporttime", "xcurrencyconversionrate"}


def google(layout: Layout, place: Mapping[str, str]) -> Layout | None:
    """Read Google's FOCUS view and its FOCUS table; None for a header that is neither.

    The view has the billing account in SubAccountId and the project in x_Project; a billing period's end is the last
    day, not the day after. The table has no Tags, and labels and tags in lists of their own.
    """
    if len(_GOOGLE & place.keys()) < 2:  # noqa: PLR2004 - one alone may be anybody's
        return None
    fields, own, derived = dict(layout.fields), dict(layout.own), dict(layout.derived)
    if end := fields.pop("billing_period_end", None):
        own["end"] = Own(end[0], TIME)
        last = "{end} >= last_day({billing_period_start}) AND {end} < last_day({billing_period_start}) + INTERVAL 1 DAY"
        derived["billing_period_end"] = (
            f"CASE WHEN {last} THEN {gcp.month_end('{billing_period_start}')} ELSE {{end}} END"
        )
    if project := _project(place, "id"):
        own["project"] = Own(project)
        other = "NULL"
        if sub := fields.pop("sub_account_id", None):
            own["sub"] = Own(f"CAST({sub[0]} AS VARCHAR)")
            other = "CASE WHEN {sub} <> coalesce({billing_account_id}, '') THEN {sub} END"
        # Only the table has SubAccountName; the view's SubAccountId is never a project.
        derived["sub_account_id"] = "coalesce({project}, " + (other if "subaccountname" in place else "NULL") + ")"
        fields.setdefault("sub_account_name", (_project(place, "name"),))
    if "xsubscriptioninstanceid" in place and "commitment_discount_id" not in fields:
        fields["commitment_discount_id"] = (place["xsubscriptioninstanceid"],)
    fields.setdefault("invoice_issuer_name", (gcp.NOTHING,))
    tags = layout.tags or gcp.tag_levels(place, ("xprojectlabels", "xtags", "xlabels"))
    why = f"{layout.why}; x_ columns say that it is Google's"
    return replace(layout, why=why, fields=fields, own=own, derived=derived, tags=tags)


def _project(place: Mapping[str, str], part: str) -> str:
    """Write SQL for the project's id or name: of a column, or of a struct that a CSV holds as JSON text."""
    if found := next((place[name] for name in (f"xproject.{part}", f"xproject{part}") if name in place), ""):
        return f"CAST({found} AS VARCHAR)"
    if text := place.get("xproject"):
        one = f"CASE WHEN json_valid({text}) THEN json_extract_string({text}, ['$.{part}', '$.{part.title()}']) END"
        return f"coalesce({one}[1], {one}[2])"
    return ""
