"""governor.yaml: found, checked, resolved, and every value knows where it comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from governor.config import BillingSource, Config, JournalSettings, find, load, load_with_origins, origins
from governor.model import Position, Refused
from governor.schema import read_schema

SMALL = """\
version: 1
organization: Acme
reporting_currency: USD
billing:
  - {name: aws, format: focus, path: bills/aws}
"""
FULL = """\
version: 1
organization: Acme
reporting_currency: USD
registers:
  cost_centers: {file: registers/cost_centers.csv, key: id}
  accounts: {file: registers/accounts.csv}
  budgets: {file: registers/budgets.csv}
  fx_rates: {file: registers/fx.csv}
  apps: {file: ../apps.csv, key: app}
billing:
  - {name: aws, format: focus, path: "bills/aws/*.parquet"}
  - name: excel
    format: focus
    path: bills/excel
    dates: "%m/%d/%y"
    numbers: us
    defaults: {BillingCurrency: EUR, service_provider_name: Hetzner}
policies: [policies, "pack:tagging-core"]
ledger: ledger
out: out
journal: {clearing_account: "2100", expense_account: "6300", clearing_cost_center: CC-0001}
gap_tolerance: 5
"""


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test hears the environment of who runs it."""
    for name in ("CACHE", "CONFIG", "LEDGER", "OUT", "REPORTING_CURRENCY"):
        monkeypatch.delenv(f"GOVERNOR_{name}", raising=False)


def write(folder: Path, text: str) -> Path:
    file = folder / "governor.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_everything_that_the_design_names_is_read(tmp_path: Path) -> None:
    file = write(tmp_path, FULL)
    config = load(file)
    assert (config.file, config.root, config.organization, config.reporting_currency) == (file, tmp_path, "Acme", "USD")
    registers = {name: (r.name, r.file, r.key, r.position.line) for name, r in config.registers.items()}
    assert registers == {
        "accounts": ("accounts", tmp_path / "registers/accounts.csv", "account_id", 6),
        "apps": ("apps", tmp_path.parent / "apps.csv", "app", 9),
        "budgets": ("budgets", tmp_path / "registers/budgets.csv", "cost_center", 7),
        "cost_centers": ("cost_centers", tmp_path / "registers/cost_centers.csv", "id", 5),
        "fx_rates": ("fx_rates", tmp_path / "registers/fx.csv", "currency", 8),
    }
    assert config.billing == (
        BillingSource("aws", "focus", str(tmp_path / "bills/aws/*.parquet"), Position(str(file), 11, 5)),
        BillingSource(
            name="excel",
            format="focus",
            path=str(tmp_path / "bills/excel"),
            position=Position(str(file), 12, 5),
            dates="%m/%d/%y",
            numbers="us",
            defaults={"BillingCurrency": "EUR", "ServiceProviderName": "Hetzner"},
        ),
    )
    assert config.policies == (tmp_path / "policies", Path("pack:tagging-core"))
    assert (config.ledger, config.out, config.gap_tolerance) == (tmp_path / "ledger", tmp_path / "out", 5)
    assert config.journal == JournalSettings("2100", "6300", "CC-0001")


def test_what_the_file_leaves_out_has_a_default(tmp_path: Path) -> None:
    file = write(tmp_path, SMALL)
    billing = (BillingSource("aws", "focus", str(tmp_path / "bills/aws"), Position(str(file), 5, 5)),)
    policies, ledger, out = (tmp_path / "policies",), tmp_path / "ledger", tmp_path / "out"
    assert load(file) == Config(file, "Acme", "USD", {}, billing, policies, ledger, out, tmp_path / ".governor-cache")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("s3://bucket/exports/focus", "s3://bucket/exports/focus"),
        ("s3://bucket", "s3://bucket/"),
        ("s3://bucket//odd/ä b/*.csv", "s3://bucket//odd/ä b/*.csv"),
        ("gs://my_bucket.example.org/x/", "gs://my_bucket.example.org/x/"),
        ("az://account/container/x", "az://account/container/x"),
        ("https://account.blob.core.windows.net/container/a%20b", "az://account/container/a b"),
        ("az://acct.blob.core.usgovcloudapi.net/c-1/x", "az://acct.blob.core.usgovcloudapi.net/c-1/x"),
    ],
)
def test_an_address_is_kept_as_it_is_written(tmp_path: Path, written: str, read: str) -> None:
    """No folder is put before it, nothing in a key is decoded; only what Azure's portal shows becomes ours."""
    [source] = load(write(tmp_path, SMALL.replace("bills/aws", f"'{written}'"))).billing
    assert source.path == read


def test_the_nearest_file_upward_counts_up_to_the_root_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, repository = tmp_path, tmp_path / "repository"
    deep = repository / "a" / "b"
    deep.mkdir(parents=True)
    (repository / ".git").mkdir()
    write(outside, SMALL)
    with pytest.raises(Refused) as refused:
        find(deep)
    [problem] = refused.value.problems
    assert (problem.code, str(repository) in problem.what, "init" in problem.mend) == ("C010", True, True)
    write(repository, SMALL)
    assert find(deep) == (repository / "governor.yaml").resolve()
    monkeypatch.chdir(deep)
    config, where = load_with_origins(environment={})
    assert (config.file, where["file"]) == (find(deep), "found here or above")


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, SMALL + "ledger: books\n")
    monkeypatch.chdir(tmp_path)
    environment = {"GOVERNOR_CONFIG": "governor.yaml", "GOVERNOR_LEDGER": "env", "GOVERNOR_OUT": "env-out"}
    config, where = load_with_origins(None, {"ledger": "flag", "out": None}, environment)
    assert (config.file, config.ledger, config.out) == (file, tmp_path / "flag", tmp_path / "env-out")
    assert where == {
        "file": "GOVERNOR_CONFIG",
        "version": "governor.yaml:1:1",
        "organization": "governor.yaml:2:1",
        "reporting_currency": "governor.yaml:3:1",
        "billing": "governor.yaml:4:1",
        "ledger": "--ledger",
        "out": "GOVERNOR_OUT",
        "policies": "default",
        "cache": "default",
        "gap_tolerance": "default",
    }
    config, where = load_with_origins(file, {}, {"GOVERNOR_REPORTING_CURRENCY": "EUR", "GOVERNOR_LEDGER": ""})
    assert (config.reporting_currency, config.ledger) == ("EUR", tmp_path / "books")
    assert (where["file"], where["reporting_currency"]) == ("-c", "GOVERNOR_REPORTING_CURRENCY")


def test_a_loaded_configuration_can_say_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path, SMALL)
    monkeypatch.setenv("GOVERNOR_OUT", str(tmp_path / "elsewhere"))
    told = origins(load(file, {"ledger": str(tmp_path / "books")}))
    assert (told["file"], told["ledger"], told["out"], told["policies"]) == (
        "-c",
        "--ledger",
        "GOVERNOR_OUT",
        "default",
    )
    monkeypatch.setenv("GOVERNOR_CONFIG", str(file))
    assert origins(load())["file"] == "GOVERNOR_CONFIG"


def test_a_folder_stands_for_the_file_in_it(tmp_path: Path) -> None:
    assert load(write(tmp_path, SMALL).parent).file == tmp_path / "governor.yaml"


BAD = {
    "nothing at all": ("{}", ["1:1 C002", "1:1 C002", "1:1 C002", "1:1 C002"]),
    "a list": ("- version: 1\n", ["1:1 C003"]),
    "version of the future": (SMALL.replace("version: 1", "version: 2"), ["1:10 C004"]),
    "typo": (SMALL + "ledgre: x\n", ["6:1 C001"]),
    "later": (SMALL + "inventory: [{name: aws, provider: aws}]\n", ["6:1 C008"]),
    "currency": (SMALL.replace("USD", "Euro"), ["3:21 C005"]),
    "format unknown": (SMALL.replace("focus", "focsu"), ["5:25 C004"]),
    "no bill": ("version: 1\norganization: A\nreporting_currency: USD\nbilling: []\n", ["4:10 C006"]),
    "a web server": (SMALL.replace("bills/aws", "https://example.org/bill.csv"), ["5:38 C009"]),
    "a store we don't read": (SMALL.replace("bills/aws", "abfss://c@account.dfs.core.windows.net/x"), ["5:38 C009"]),
    "a host that isn't Azure's": (SMALL.replace("bills/aws", "az://evil.example/bills"), ["5:38 C009"]),
    "no bucket": (SMALL.replace("bills/aws", "s3:///focus"), ["5:38 C009"]),
    "a pattern of folders": (SMALL.replace("bills/aws", "s3://bucket/*/focus.csv"), ["5:38 C009"]),
    "a signature": (SMALL.replace("bills/aws", "https://acct.blob.core.windows.net/c/b.csv?sig=x"), ["5:38 C022"]),
    "cache is the ledger": (SMALL + "ledger: x\ncache: x\n", ["7:1 C020"]),
    "s3 of a folder": (SMALL.replace("bills/aws", "b, s3: {profile: x}"), ["5:41 C021"]),
    "a password": (
        SMALL.replace("bills/aws", "'s3://bucket', s3: {endpoint: 'https://u:p@host'}"),
        ["5:68 C022"],
    ),
    "an address of the ledger": (SMALL + "ledger: s3://bucket/ledger\n", ["6:9 C023"]),
    "an address of a register": (SMALL + "registers: {accounts: {file: 's3://b/a.csv'}}\n", ["6:30 C023"]),
    "an address of invoices": (SMALL + "invoices: [{name: i, path: gs://bucket/i}]\n", ["6:28 C023"]),
    "two sources of one name": (SMALL + "  - {name: aws, format: focus, path: b}\n", ["6:12 C014"]),
    "numbers where text belongs": (SMALL + "journal: {clearing_account: 2100}\n", ["6:29 C003"]),
    "journal without clearing": (SMALL + "journal: {expense_account: x}\n", ["6:10 C002"]),
    "lookup table without key": (SMALL + "registers:\n  cost_centres: {file: a.csv}\n", ["7:3 C013"]),
    "register without file": (SMALL + "registers: {accounts: {key: id}}\n", ["6:23 C002"]),
    "register name": (SMALL + "registers: {Cost-Centers: {file: a.csv}}\n", ["6:13 C005"]),
    "date pattern": (SMALL.replace("bills/aws", "b, dates: MM/DD/YY"), ["5:48 C005"]),
    "date pattern without month": (SMALL.replace("bills/aws", "b, dates: '%Y-%d'"), ["5:48 C005"]),
    "numbers": (SMALL.replace("bills/aws", "b, numbers: de"), ["5:50 C004"]),
    "default of no column": (SMALL.replace("bills/aws", "b, defaults: {BilingCurrency: EUR}"), ["5:52 C015"]),
    "default not text": (SMALL.replace("bills/aws", "b, defaults: {InvoiceId: 17}"), ["5:63 C003"]),
    "tolerance": (SMALL + "gap_tolerance: -1\n", ["6:16 C006"]),
    "ledger is out": (SMALL + "ledger: x\nout: ./x\n", ["7:1 C012"]),
    "duplicate key": (SMALL + "version: 1\n", ["6:1 Y014"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_is_refused_at_its_place(name: str, tmp_path: Path) -> None:
    text, expected = BAD[name]
    file = write(tmp_path, text)
    with pytest.raises(Refused) as refused:
        load(file)
    problems = refused.value.problems
    assert [f"{p.position.line}:{p.position.column} {p.code}" for p in problems] == expected
    assert all(p.position.file == str(file) and p.what and p.mend for p in problems)


def test_a_message_says_what_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path, SMALL.replace("version: 1", "version: 1\nledgre: x") + "registers:\n  cost_centres: {file: a.csv}\n"
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused) as refused:
        load()
    assert str(refused.value) == 'governor.yaml:2:1 C001 unknown key "ledgre"; did you mean "ledger"?'


def test_a_currency_from_outside_is_checked_too(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        load_with_origins(write(tmp_path, SMALL), {}, {"GOVERNOR_REPORTING_CURRENCY": "dollars"})
    [problem] = refused.value.problems
    assert (problem.code, "GOVERNOR_REPORTING_CURRENCY" in problem.what) == ("C011", True)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        load(tmp_path / "other.yaml")
    assert [p.code for p in refused.value.problems] == ["Y001"]


@pytest.mark.parametrize("name", ["policy.json", "config.json"])
def test_a_schema_is_valid_and_explains_every_property(root: Path, name: str) -> None:
    """Editors show the descriptions; a mapping that names its properties allows no others."""
    schema = json.loads((root / "schemas" / name).read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)

    def walk(part: object, path: str) -> None:
        if isinstance(part, list):
            for number, item in enumerate(part):
                walk(item, f"{path}[{number}]")
        if isinstance(part, dict):
            for key, value in part.get("properties", {}).items():
                assert isinstance(value, dict), f"{path}.{key}"
                assert value.get("description"), f"{path}.{key} has no description"
            if "properties" in part and "oneOf" not in part:
                assert "additionalProperties" in part, f"{path} allows anything"
            if "pattern" in part:
                assert part.get("patternErrorMessage"), f"{path} has a pattern and no words for it"
            for key, value in part.items():
                walk(value, f"{path}.{key}")

    walk(schema, name)
    assert read_schema(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
