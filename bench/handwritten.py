"""The same answer by hand: what a careful analyst would write in DuckDB SQL against the normalised tables.

    python -m bench.handwritten CHARGES TAG_SETS PROJECT REGISTERS OUT

Cells, classification by 50 rules, pools split to the last unit, 24 tag requirements, findings and scores, each table
sorted and written as Parquet, with totals and statements. It does no more than that: no waivers, no first_seen, no
digests, no history, no check of what it reads. bench/run.py compares its allocations with governor's to the last digit.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import duckdb

from bench.policies import (
    CENTERS,
    CENTRAL_WHERE,
    ENVIRONMENTS,
    EVEN_TARGETS,
    FIXED_SHARES,
    KEYS,
    NORMAL,
    PLACEHOLDERS,
    POOLS,
    Need,
    needs,
    rules,
)
from bench.split_case import cpu_seconds

CELL_KEYS = (
    "billing_period, billing_currency, tag_set, billing_account_id, sub_account_id, service_provider_name, invoice_id,"
    " sub_account_name, service_name, service_category, region_id, resource_id, resource_name, resource_type,"
    " charge_category, charge_class,"
    " pricing_category, commitment_discount_id, commitment_discount_status"
)
SCALE = 10  # decimals of the generated amounts: units of 1e-10 fit HUGEINT even when multiplied
TAGGABLE = (
    "charge_category = 'Usage' AND coalesce(commitment_discount_status, '') <> 'Unused' AND resource_id IS NOT NULL"
)


def statements(charges: Path, tag_sets: Path, project: Path, registers: Path, out: Path) -> list[str]:
    """Write the whole script."""
    return [
        f"CREATE TABLE centers AS FROM read_csv('{registers}/cost_centers.csv', all_varchar = true)",
        f"CREATE TABLE accounts AS FROM read_csv('{registers}/accounts.csv', all_varchar = true)",
        f"CREATE TABLE apps AS FROM read_csv('{project}/apps.csv', all_varchar = true)",
        _tags(tag_sets),
        _cells(charges),
        _classified(),
        _shares(),
        f"COPY ({_CELLS}) TO '{out}/cells.parquet' ({_PARQUET})",
        f"COPY ({_ALLOCATIONS}) TO '{out}/allocations.parquet' ({_PARQUET})",
        f"COPY ({_findings()}) TO '{out}/findings.parquet' ({_PARQUET})",
        f"COPY ({_verdicts()}) TO '{out}/verdicts.parquet' ({_PARQUET})",
        f"COPY ({_scores()}) TO '{out}/scores.parquet' ({_PARQUET})",
        f"COPY ({_STATEMENTS}) TO '{out}/cost_centers.parquet' ({_PARQUET})",
        f"COPY ({_TOTALS}) TO '{out}/totals.parquet' ({_PARQUET})",
    ]


_PARQUET = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1"


def _tags(tag_sets: Path) -> str:
    """Read the five tags once per distinct tag set, and judge them there."""
    words = ", ".join(f"'{w}'" for w in PLACEHOLDERS)
    columns = []
    for name, keys in KEYS.items():
        spelled = [f"nullif(trim(tags['{key}']), '')" for key in keys]
        meant = [f"CASE WHEN lower({s}) NOT IN ({words}) THEN {NORMAL[name]}(trim({s})) END" for s in spelled]
        value = f"coalesce({', '.join(meant)})"
        if name == "env":
            folded = " ".join(f"WHEN v IN ('{k}', '{s[0]}') THEN '{k}'" for k, s in ENVIRONMENTS.items())
            value = f"list_transform([{value}], lambda v: CASE {folded} ELSE v END)[1]"
        columns.append(f"{value} AS tag_{name}")
    return f"CREATE TABLE tags AS SELECT tag_set, text, {', '.join(columns)} FROM read_parquet('{tag_sets}')"


def _cells(charges: Path) -> str:
    return f"""
        CREATE TABLE cells AS
        WITH grouped AS (
            SELECT {CELL_KEYS}, charge_description LIKE 'Marketplace%' AS is_marketplace,
                count(*) AS rows, count(*) FILTER (effective_cost > 0) AS rows_positive,
                sum(billed_cost) AS billed_cost, sum(effective_cost) AS effective_cost, sum(list_cost) AS list_cost,
                sum(contracted_cost) AS contracted_cost, sum(greatest(effective_cost, 0)) AS positive_cost,
                min(charge_period_start) AS first_charge, max(charge_period_start) AS last_charge
            FROM read_parquet('{charges}') GROUP BY ALL
        )
        SELECT row_number() OVER () AS id, * FROM grouped"""


def _classified() -> str:
    """One CASE finds the clause, a second its target: rules that look something up, then the literal ones."""
    branches, targets = ["WHEN commitment_discount_status = 'Unused' THEN 'unused'"], []
    branches.append(f"WHEN {_sql(CENTRAL_WHERE)} THEN 'guardrails'")
    branches += [f"WHEN {_sql(str(pool['where']))} THEN '{pool['id']}'" for pool in POOLS if "where" in pool]
    looked_up = {
        "tag.cost_center": "tag_center",
        "lookup(apps, tag.app, 'cost_center')": "app_center",
        "account.cost_center": "account_center",
    }
    for id_, to, where in rules():
        column = looked_up.get(to, to)
        terms = [f"({_sql(where)})"] if where else []
        terms += [f"{column} IS NOT NULL"] if to in looked_up else []
        branches.append(f"WHEN {' AND '.join(terms)} THEN '{id_}'")
        targets.append(f"WHEN '{id_}' THEN {column}")
    return f"""
        CREATE TABLE classified AS
        WITH claimed AS (
            SELECT f.id, c.id AS tag_center, pc.id AS app_center, ac.id AS account_center,
                CASE {" ".join(branches)} END AS rule
            FROM cells f LEFT JOIN tags USING (tag_set)
                LEFT JOIN centers c ON c.id = tag_cost_center
                LEFT JOIN apps ON apps.app = tag_app LEFT JOIN centers pc ON pc.id = apps.cost_center
                LEFT JOIN accounts a ON a.account_id = f.sub_account_id LEFT JOIN centers ac ON ac.id = a.cost_center
        )
        SELECT id, rule,
            CASE WHEN rule IS NULL THEN 'U' WHEN rule = 'unused' THEN 'K' WHEN rule = 'guardrails' THEN 'C'
                WHEN rule IN ('support', 'taxes', 'oracle') THEN 'S' WHEN rule = 'by-tag' THEN 'T'
                WHEN rule = 'by-account' THEN 'A' ELSE 'R' END AS status,
            CASE rule WHEN 'guardrails' THEN '{CENTERS[0]}' {" ".join(targets)} END AS cost_center
        FROM claimed"""


def _shares() -> str:
    """Split each pool by largest remainder so that its parts add up to it, with the decimals it has, at least two."""
    steps = ", ".join(f"1{'0' * n}" for n in range(SCALE - 1))
    even = ", ".join(f"('taxes', '{c}', 1)" for c in EVEN_TARGETS)
    fixed = ", ".join(f"('oracle', '{c}', {share})" for c, share in FIXED_SHARES.items())
    return f"""
        CREATE TABLE shares AS
        WITH amounts AS (
            SELECT billing_period, billing_currency, rule AS pool, status,
                (sum(effective_cost)::DECIMAL(27, {SCALE}) * 1{"0" * SCALE})::HUGEINT AS smallest,
                list_max(list_filter([{steps}], lambda s: smallest % s = 0))::HUGEINT AS step, smallest // step AS units
            FROM cells JOIN classified USING (id) WHERE status IN ('S', 'K') GROUP BY ALL
        ),
        direct AS (
            SELECT billing_period, billing_currency, cost_center,
                (sum(effective_cost)::DECIMAL(27, {SCALE}) * 1{"0" * SCALE})::HUGEINT AS weight
            FROM cells JOIN classified USING (id) WHERE status IN ('T', 'A', 'R') GROUP BY ALL
        ),
        weights AS (
            SELECT a.*, d.cost_center, d.weight FROM amounts a
                JOIN direct d USING (billing_period, billing_currency)
            WHERE a.pool IN ('support', 'unused') AND d.weight > 0
            UNION ALL
            SELECT a.*, t.cost_center, t.weight::HUGEINT FROM amounts a
                JOIN (VALUES {even}, {fixed}) t (pool, cost_center, weight) USING (pool)
        ),
        floors AS (
            SELECT *, sum(weight) OVER pool_ AS total, abs(units) * weight // sum(weight) OVER pool_ AS part,
                abs(units) * weight % sum(weight) OVER pool_ AS rest
            FROM weights WINDOW pool_ AS (PARTITION BY billing_period, billing_currency, pool)
        ),
        ranked AS (
            SELECT *, abs(units) - sum(part) OVER pool_ AS spare,
                row_number() OVER (pool_ ORDER BY rest DESC, cost_center) AS n
            FROM floors WINDOW pool_ AS (PARTITION BY billing_period, billing_currency, pool)
        )
        SELECT billing_period, billing_currency, pool, status, cost_center, units, weight, total,
            sign(units) * (part + CASE WHEN n <= spare THEN 1 ELSE 0 END) * step AS part
        FROM ranked"""


_CELLS = """
    SELECT c.* EXCLUDE (id, tag_set), t.text AS tags, k.rule, k.status, k.cost_center
    FROM cells c JOIN classified k USING (id) LEFT JOIN tags t USING (tag_set) ORDER BY ALL"""
_ALLOCATIONS = f"""
    SELECT billing_period, billing_currency, cost_center, status, rule, sub_account_id, service_name, charge_category,
        sum(effective_cost)::DECIMAL(38, 24) AS amount, sum(rows)::BIGINT AS rows
    FROM cells JOIN classified USING (id) WHERE status NOT IN ('S', 'K') GROUP BY ALL
    UNION ALL
    SELECT billing_period, billing_currency, cost_center, status, pool, NULL, NULL, NULL,
        (part::DECIMAL(38, 0) * 0.{"0" * (SCALE - 1)}1)::DECIMAL(38, 24), 0
    FROM shares ORDER BY ALL"""


def _findings() -> str:
    """List what each tag set lacks once, then put the list on its cells and group by subject."""
    failed = [
        f"CASE WHEN {_failure(n)} THEN {{'requirement': '{n.name}', 'observed': tag_{n.tag},"
        f" 'message': '{n.name}: ' || coalesce(tag_{n.tag} || ' is not valid', 'no tag')}} END"
        for n in needs()
    ]
    return f"""
        WITH judged AS (
            SELECT tag_set, tag_owner, list_filter([{", ".join(failed)}], lambda f: f IS NOT NULL) AS failed FROM tags
                LEFT JOIN centers c ON c.id = tag_cost_center LEFT JOIN apps ON apps.app = tag_app
        ),
        facts AS (
            SELECT unnest(failed) AS f, resource_id, tag_owner, billing_currency, sub_account_id, service_name,
                region_id, resource_type, cost_center, positive_cost, rows, first_charge
            FROM cells JOIN classified USING (id) JOIN judged USING (tag_set) WHERE {TAGGABLE}
        )
        SELECT substr(sha256(f.requirement || chr(31) || resource_id), 1, 16) AS fingerprint, f.requirement,
            resource_id AS subject, billing_currency,
            first(sub_account_id ORDER BY positive_cost DESC) AS sub_account_id,
            first(service_name ORDER BY positive_cost DESC) AS service_name,
            first(region_id ORDER BY positive_cost DESC) AS region_id,
            first(resource_type ORDER BY positive_cost DESC) AS resource_type,
            first(f.observed ORDER BY positive_cost DESC) AS observed,
            first(f.message ORDER BY positive_cost DESC) AS message,
            first(tag_owner ORDER BY positive_cost DESC) AS owner, min(cost_center) AS cost_center,
            sum(positive_cost)::DECIMAL(38, 24) AS cost, sum(rows)::BIGINT AS rows,
            min(first_charge)::DATE AS first_seen
        FROM facts GROUP BY f.requirement, resource_id, billing_currency ORDER BY ALL"""


def _verdicts() -> str:
    """Count what every requirement said of how many subjects: once per tag set, then per subject."""
    names = ", ".join(f"'{n.name}'" for n in needs())
    judged = ", ".join(
        f"CASE WHEN {_failure(n)} THEN 'fail' WHEN tag_{n.tag} IS NULL THEN 'not_applicable' ELSE 'pass' END"
        for n in needs()
    )
    none = ", ".join("'not_applicable'" for _ in needs())
    return f"""
        WITH judged AS (
            SELECT tag_set, [{judged}] AS verdicts FROM tags
                LEFT JOIN centers c ON c.id = tag_cost_center LEFT JOIN apps ON apps.app = tag_app
        ),
        summed AS (
            SELECT billing_currency,
                coalesce(resource_id, coalesce(sub_account_id, billing_account_id) || ' / ' || service_name) AS subject,
                CASE WHEN {TAGGABLE} THEN tag_set END AS tag_set, sum(rows) AS rows, sum(positive_cost) AS cost
            FROM cells GROUP BY ALL
        ),
        said AS (
            SELECT unnest([{names}]) AS requirement, unnest(coalesce(verdicts, [{none}])) AS verdict, summed.*
            FROM summed LEFT JOIN judged USING (tag_set)
        )
        SELECT requirement, verdict, billing_currency, count(DISTINCT subject) AS subjects, sum(rows)::BIGINT AS rows,
            sum(cost)::DECIMAL(38, 24) AS cost
        FROM said GROUP BY ALL ORDER BY ALL"""


_STATEMENTS = f"""
    WITH owed AS ({_ALLOCATIONS.removesuffix(" ORDER BY ALL")})
    SELECT cost_center, name, parent, owner_email, mode, billing_period, billing_currency,
        coalesce(sum(amount) FILTER (status IN ('T', 'A', 'R')), 0) AS direct,
        coalesce(sum(amount) FILTER (status = 'S'), 0) AS shared,
        coalesce(sum(amount) FILTER (status = 'K'), 0) AS commitment,
        coalesce(sum(amount) FILTER (status = 'C'), 0) AS central, sum(amount) AS total
    FROM owed JOIN centers ON centers.id = cost_center GROUP BY ALL ORDER BY ALL"""
_TOTALS = """
    SELECT billing_period, billing_currency, sum(rows)::BIGINT AS rows, sum(billed_cost) AS billed_cost,
        sum(effective_cost) AS effective_cost, sum(list_cost) AS list_cost, sum(contracted_cost) AS contracted_cost,
        sum(effective_cost) FILTER (status NOT IN ('D', 'U')) AS allocated
    FROM cells JOIN classified USING (id) GROUP BY ALL ORDER BY ALL"""


def _failure(need: Need) -> str:
    value, argument = f"tag_{need.tag}", need.argument
    wrong = {
        "in_register": f"{value} IS NOT NULL AND {'c.id' if argument == 'cost_centers' else 'apps.app'} IS NULL",
        "allowed": f"{value} NOT IN ({', '.join(repr(k) for k in ENVIRONMENTS)})",
        "matches": f"NOT regexp_full_match({value}, '{argument}')",
    }[need.check]
    return f"({value} IS NULL OR {wrong})" if need.required else f"({wrong})"


def _scores() -> str:
    """Add up positive cost by status, in total and by account, service and cost center."""
    scopes = {"total": "''", "account": "sub_account_id", "service": "service_name", "cost_center": "cost_center"}
    statuses = ", ".join(f"sum(positive_cost) FILTER (status = '{s}') AS cost_{s.lower()}" for s in "TARSKCDU")
    counts = ", ".join(f"sum(rows) FILTER (status = '{s}')::BIGINT AS rows_{s.lower()}" for s in "TARSKCDU")
    selects = [
        f"SELECT '{scope}' AS scope, {column} AS scope_id, billing_currency, sum(positive_cost) AS cost,"
        f" {statuses}, {counts}"
        " FROM cells JOIN classified USING (id) GROUP BY ALL"
        for scope, column in scopes.items()
    ]
    return " UNION ALL ".join(selects) + " ORDER BY ALL"


def _sql(condition: str) -> str:
    """Translate the few spellings in which a predicate differs from DuckDB."""
    condition = condition.replace("matches(", "regexp_full_match(")
    condition = condition.replace("charge_description LIKE 'Marketplace%'", "is_marketplace")
    return re.sub(r"\btag\.", "tag_", condition)


def main() -> None:
    """Run the script with the same memory that governor's engine gets."""
    charges, tag_sets, project, registers, out = map(Path, sys.argv[1:])
    out.mkdir(parents=True, exist_ok=True)
    connection = duckdb.connect()
    connection.execute("SET memory_limit = '1000MB'")
    connection.execute(f"SET temp_directory = '{out}/spill'")
    start = cpu_seconds()
    for statement in statements(charges, tag_sets, project, registers, out):
        connection.execute(statement).fetchall()
    print(json.dumps({"cpu": cpu_seconds() - start}))


if __name__ == "__main__":
    main()
