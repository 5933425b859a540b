"""What people and machines read of a committed run: one file a format, each made from the run's tables alone."""

# format -> module. `json` and `console` are text (`render(run) -> str`), the others are files (`render(run, out)`).
FORMATS = {
    "console": "governor.reports.console",
    "json": "governor.reports.json",
    "csv": "governor.reports.csv",
    "html": "governor.reports.html",
}

# report -> the tables that its CSV holds; the HTML report of that name is made from them and from the run's identity.
REPORTS = {
    "compliance": ("findings", "verdicts", "scores", "waivers", "gaps", "rejects"),
    "chargeback": ("totals", "cost_centers", "allocations", "restatements"),
    "reconciliation": ("tie_out", "bridge", "commitments"),
}
