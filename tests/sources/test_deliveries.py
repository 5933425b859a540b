"""A folder with manifests is read as its provider means it: the newest delivery of each month, whole, and only that."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from datetime import UTC
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governor.config import BillingSource
from governor.engine.ingest import ingest
from governor.model import Position, Refused
from governor.sources.billing import files, manifests
from governor.sources.billing.deliveries import settle
from tests.bills import charges, refused, rows, take, to_csv
from tests.deliveries import (
    CUR_MAPPING,
    aws_report,
    azure_export,
    costs,
    data_export,
    lines,
    write,
    write_manifest,
)

NEW, OLD = "20260903T101500Z", "20260902T101500Z"


def found(tmp_path: Path, path: str = "bill") -> files.Found:
    return files.find(path, tmp_path, Position("governor.yaml", 7, 5))


def names(tmp_path: Path, path: str = "bill") -> list[str]:
    """The files that are read."""
    return [one.relative_to(tmp_path / "bill").as_posix() for one in found(tmp_path, path).files]


def billed(tmp_path: Path, path: str = "bill", **options) -> list[str]:
    """The cost of every charge."""
    return [str(row["billed_cost"].normalize()) for row in charges(take(path, tmp_path, **options))]


# --- what is read ----------------------------------------------------------------------------------------------------


def test_aws_report_in_create_new_mode(tmp_path):
    """The manifest of the month names the delivery in force, whatever it is called; the others are told, not read."""
    aws_report(tmp_path / "bill", "b-old", lines("1"), lines("2"))
    aws_report(tmp_path / "bill", "a-new", lines("3"), lines("4"), lines("5"))
    delivery = take("bill", tmp_path, format="columns", mapping=CUR_MAPPING)
    assert [str(row["billed_cost"].normalize()) for row in charges(delivery)] == ["3", "4", "5"]
    month = "bill/cur/20260901-20261001"
    assert (
        f"manifests decide what is read: {month}/cur-Manifest.json (AWS report cur 2026-09: 3 of its files here); "
        f"superseded, left aside: {month}/b-old/cur-Manifest.json (AWS report cur 2026-09: 2 of its files here)"
    ) in delivery.why
    assert [(one.path, one.version) for one in delivery.manifests] == [
        (f"{month}/cur-Manifest.json", "manifest"),
        (f"{month}/a-new/cur-Manifest.json", "manifest"),
        (f"{month}/b-old/cur-Manifest.json", "superseded manifest"),
    ]


def test_aws_report_without_the_months_manifest_goes_by_the_folders_times(tmp_path):
    aws_report(tmp_path / "bill", NEW, lines("3"), copies=["run"])
    aws_report(tmp_path / "bill", OLD, lines("1"), copies=["run"])
    assert names(tmp_path) == [f"cur/20260901-20261001/{NEW}/cur-1.csv.gz"]


def test_aws_report_overwritten_in_place(tmp_path):
    aws_report(tmp_path / "bill", "", lines("1"), lines("2"), copies=["period"])
    aws_report(tmp_path / "bill", "", lines("3"), month="2026-10", copies=["period"])
    assert names(tmp_path) == [
        "cur/20260901-20261001/cur-1.csv.gz",
        "cur/20260901-20261001/cur-2.csv.gz",
        "cur/20261001-20261101/cur-1.csv.gz",
    ]


def test_aws_report_as_parquet_lies_apart_from_its_manifest(tmp_path):
    """With Athena, the files lie below year=/month= and beside a status that is no bill."""
    write(tmp_path / "bill/cur/cur/year=2026/month=9/cur-00001.snappy.parquet", costs("1"))
    write(
        tmp_path / "bill/cur/cur/cost_and_usage_data_status/cost_and_usage_data_status.parquet", [{"status": "READY"}]
    )
    said = {
        "reportName": "cur",
        "assemblyId": "x",
        "contentType": "Parquet",
        "reportKeys": ["exports/cur/cur/year=2026/month=9/cur-00001.snappy.parquet"],
    }
    write_manifest(tmp_path / "bill/cur/20260901-20261001/cur-Manifest.json", said)
    assert names(tmp_path) == ["cur/cur/year=2026/month=9/cur-00001.snappy.parquet"]
    write(tmp_path / "bill/cur/cur/year=2026/month=10/cur-00001.snappy.parquet", costs("2"))
    [said] = refused("bill", tmp_path)
    assert said.startswith("bill/cur/cur/year=2026/month=10 B255 has data (cur-00001.snappy.parquet) and no manifest")


def test_aws_data_export_in_create_new_mode(tmp_path):
    data_export(tmp_path / "bill", "2026-10-01T08:15:04.123Z-3f1c", costs("1"), costs("2"))
    data_export(tmp_path / "bill", "2026-10-02T08:15:04.123Z-77aa", costs("3"), ending="snappy.parquet")
    month = "focus/data/BILLING_PERIOD=2026-09"
    newest = [f"{month}/2026-10-02T08:15:04.123Z-77aa/focus-00001.snappy.parquet"]
    assert names(tmp_path) == newest
    (tmp_path / "bill/focus/metadata/BILLING_PERIOD=2026-09/focus-Manifest.json").unlink()
    assert names(tmp_path) == newest, "without the month's manifest, by the times in the folders' names"


def test_aws_data_export_overwritten_in_place(tmp_path):
    data_export(tmp_path / "bill", "", costs("1"), costs("2"))
    data_export(tmp_path / "bill", "", costs("3"), month="2026-10")
    assert billed(tmp_path) == ["1", "2", "3"]


def test_azure_export_the_last_run_counts(tmp_path):
    """Runs have names without order: the time at which they were submitted decides."""
    azure_export(tmp_path / "bill", "ffff", costs("1"), submitted="2026-09-05T09:19:01.9013967Z")
    azure_export(tmp_path / "bill", "aaaa", costs("2"), costs("3"), submitted="2026-09-06T09:19:01Z")
    azure_export(tmp_path / "bill", "bbbb", costs("4"), days="20261001-20261031")
    assert billed(tmp_path) == ["2", "3", "4"]
    assert found(tmp_path).superseded[0].run == "ffff"


def test_azure_export_of_the_first_manifest_version_goes_by_the_folders_times(tmp_path):
    """It says neither time nor run: `202609041442/<run>` does."""
    for minute in ("202609041442", "202609051442"):
        azure_export(tmp_path / "bill", f"{minute}/73746dc5", costs(minute), exportConfig=None, runInfo=None)
    assert billed(tmp_path) == ["202609051442"]


def test_azure_export_that_was_overwritten_in_place_before(tmp_path):
    """Of Azure's manifests none stands above the others, wherever it lies: what was submitted last counts."""
    azure_export(tmp_path / "bill", "", costs("1"), submitted="2026-09-05T00:00:00Z")
    azure_export(tmp_path / "bill", "run", costs("2"), submitted="2026-09-06T00:00:00Z")
    assert billed(tmp_path) == ["2"]


def test_azure_export_overwritten_in_place(tmp_path):
    azure_export(tmp_path / "bill", "", costs("1", "2"), costs("3"), ending="csv.gz")
    assert billed(tmp_path) == ["1", "2", "3"]


def test_reports_that_share_a_folder_are_told_apart(tmp_path):
    """Two exports, each with its own newest delivery; and a folder beside them that no manifest knows is read."""
    azure_export(tmp_path / "bill/azure", "one", costs("1"))
    azure_export(tmp_path / "bill/azure/other", "two", costs("2"), exportConfig={"exportName": "other"})
    data_export(tmp_path / "bill/aws", "", costs("3"))
    to_csv(tmp_path / "bill/onprem/september.csv", costs("4"))
    assert billed(tmp_path) == ["3", "1", "2", "4"]


@pytest.mark.parametrize("path", ["bill", "bill/exports", "bill/exports/costs", "bill/exports/costs/20260901-20260930"])
def test_a_folder_may_be_named_at_any_height(path, tmp_path):
    azure_export(tmp_path / "bill/exports", "old", costs("1"), submitted="2026-09-04T00:00:00Z")
    azure_export(tmp_path / "bill/exports", "new", costs("2"))
    assert billed(tmp_path, path) == ["2"]


def test_a_folder_may_be_downloaded_from_any_prefix(tmp_path):
    """Folders of the key that lie above the export's may be left out, whatever the local ones are called."""
    path = azure_export(tmp_path / "bill/exports", "run", costs("1"))
    path.write_text(path.read_text().replace('"costs/', '"exports/deep/costs/'))
    assert names(tmp_path) == names(tmp_path, "bill/exports") == ["exports/costs/20260901-20260930/run/part_0_0001.csv"]


def test_a_folder_may_be_downloaded_flat(tmp_path):
    """Manifest and files in one folder of any name."""
    azure_export(tmp_path / "exports", "run", costs("1"), costs("2"))
    shutil.copytree(tmp_path / "exports/costs/20260901-20260930/run", tmp_path / "bill/september")
    assert names(tmp_path) == ["september/part_0_0001.csv", "september/part_1_0001.csv"]


def test_a_glob_may_name_folders(tmp_path):
    azure_export(tmp_path / "bill", "old", costs("1"), submitted="2026-09-04T00:00:00Z")
    azure_export(tmp_path / "bill", "new", costs("2"))
    assert billed(tmp_path, "bill/cost*") == ["2"]


def test_files_of_a_superseded_delivery_may_be_gone_or_damaged(tmp_path):
    """Nobody reads them: a life cycle rule may have removed some, and an archive among them hides nothing."""
    old = azure_export(tmp_path / "bill", "old", costs("1"), costs("2"), submitted="2026-09-04T00:00:00Z")
    azure_export(tmp_path / "bill", "new", costs("3"))
    (old.parent / "part_0_0001.csv").unlink()
    (old.parent / "part_1_0001.csv").write_bytes(b"<html>")
    assert billed(tmp_path) == ["3"]


def test_without_a_manifest_everything_is_read(tmp_path):
    to_csv(tmp_path / "bill/20260901-20260930/a.csv", costs("1"))
    to_csv(tmp_path / "bill/20261001-20261031/b.csv", costs("2"))
    write_manifest(tmp_path / "bill/manifest.json", {"of": "something else"})
    delivery = take("bill", tmp_path)
    assert len(charges(delivery)) == 2
    assert delivery.manifests == ()
    assert delivery.why.endswith("left aside, not data: bill/manifest.json")


def test_the_manifests_are_evidence(tmp_path):
    """What decided what was read is kept by its path and digest, as the files are."""
    path = azure_export(tmp_path / "bill", "run", costs("1"))
    [told] = take("bill", tmp_path).manifests
    assert (told.path, told.bytes, told.rows) == (path.relative_to(tmp_path).as_posix(), path.stat().st_size, 0)
    assert len(told.sha256) == 64


# --- what is refused -------------------------------------------------------------------------------------------------


def test_a_month_delivered_twice_without_a_time_is_refused(tmp_path):
    """Names without order and no manifest above them: nobody can say which is the newest."""
    for run, cost in (("aaaa", "1"), ("bbbb", "2")):
        aws_report(tmp_path / "bill", run, lines(cost), copies=["run"])
    month = "bill/cur/20260901-20261001"
    assert refused("bill", tmp_path, format="columns", mapping=CUR_MAPPING) == [
        f"{month}/aaaa/cur-Manifest.json B256 and {month}/bbbb/cur-Manifest.json are deliveries of one report, "
        "AWS report cur 2026-09: nothing tells which is the newest; keep the newest and remove the others"
    ]


def test_two_runs_submitted_at_one_moment_are_refused(tmp_path):
    azure_export(tmp_path / "bill", "aaaa", costs("1"))
    azure_export(tmp_path / "bill", "bbbb", costs("2"))
    [said] = refused("bill", tmp_path)
    assert "B256" in said
    assert "nothing tells which is the newest" in said


def test_deliveries_of_unknown_periods_are_not_taken_for_one_month(tmp_path):
    """A later delivery would replace another month's where nothing tells the month."""
    for run, time in (("aaaa", "2026-09-05T00:00:00Z"), ("bbbb", "2026-10-05T00:00:00Z")):
        azure_export(tmp_path / "bill", run, costs("1"), days="", submitted=time)
    [said] = refused("bill", tmp_path)
    assert (
        "B256 and bill/costs/bbbb/manifest.json are deliveries of one report, Azure export costs: nothing tells" in said
    )


def test_where_folders_do_not_tell_the_period_the_manifest_may(tmp_path):
    for run, time in (("aaaa", "2026-09-05T00:00:00Z"), ("bbbb", "2026-09-06T00:00:00Z")):
        info = {
            "submittedTime": time,
            "runId": run,
            "startDate": "2026-09-01T00:00:00",
            "endDate": "2026-09-30T00:00:00",
        }
        azure_export(tmp_path / "bill", run, costs(time[9]), days="", runInfo=info)
    assert billed(tmp_path) == ["6"]


def test_two_manifests_of_one_delivery_that_differ_are_refused(tmp_path):
    month = aws_report(tmp_path / "bill", "aaaa", lines("1"), lines("2"))
    said = json.loads((month / "cur-Manifest.json").read_text())
    write_manifest(month / "cur-Manifest.json", said | {"reportKeys": said["reportKeys"][:1]})
    [problem] = refused("bill", tmp_path)
    assert problem.startswith(
        "bill/cur/20260901-20261001/aaaa/cur-Manifest.json B256 tells of the same delivery aaaa as"
    )


def test_days_that_two_deliveries_tell_are_refused(tmp_path):
    """A month and its last week: that week would count twice."""
    azure_export(tmp_path / "bill", "month", costs("1"))
    azure_export(tmp_path / "bill", "week", costs("2"), days="20260924-20260930")
    [said] = refused("bill", tmp_path)
    assert said.startswith(
        "bill/costs/20260924-20260930/week/manifest.json B258 tells of 2026-09-24 to 2026-09-30, and"
    )


def test_a_file_that_two_manifests_list_is_refused(tmp_path):
    path = azure_export(tmp_path / "bill", "run", costs("1"))
    said = json.loads(path.read_text())
    other = said | {"exportConfig": {"exportName": "other"}}
    write_manifest(path.with_name("other-manifest.json"), other)
    [problem] = refused("bill", tmp_path)
    assert "B256 lists costs/20260901-20260930/run/part_0_0001.csv, and so does bill/costs/" in problem


def test_a_copy_of_a_delivery_is_refused(tmp_path):
    """Whoever keeps a second copy in the folder is told so; of an older delivery it is nobody's concern."""
    path = azure_export(tmp_path / "bill", "run", costs("1"))
    shutil.copytree(path.parent, tmp_path / "bill/backup")
    [said] = refused("bill", tmp_path)
    assert said.startswith(
        "bill/backup/manifest.json B256 and bill/costs/20260901-20260930/run/manifest.json tell of one"
    )
    assert said.endswith("remove one copy: 1 files are here twice")
    azure_export(tmp_path / "bill", "next", costs("2"), submitted="2026-09-09T00:00:00Z")
    assert billed(tmp_path) == ["2"]


FOLDERS = st.lists(st.sampled_from(["a", "b", "20260901-20260930", "20261001-20261031", "r1", "r2"]), max_size=4)
FILES = st.builds(lambda folder, name: (*folder, name), FOLDERS, st.sampled_from(["1.csv", "2.csv"]))


@st.composite
def manifest(draw):
    """A manifest of anything, anywhere: its keys may meet the files or not."""
    folder, keys = tuple(draw(FOLDERS)), draw(st.lists(FILES, min_size=1, max_size=3, unique=True))
    created = draw(st.none() | st.datetimes(timezones=st.just(UTC)))
    period = draw(st.sampled_from([("", ""), ("2026-09", "2026-09"), ("2026-10", "2026-10")]))
    name = "/".join((*folder, f"{draw(st.integers(0, 99))}-manifest.json"))
    listed = tuple(manifests.Listed(key) for key in keys)
    run, report = draw(st.sampled_from(["r1", "r2"])), (draw(st.sampled_from("xy")),)
    leads = draw(st.booleans())
    return manifests.Manifest(
        Path(name), name, folder, 0, "", "kind", report, "", period, run, created, listed, leads=leads
    )


@given(st.lists(manifest(), max_size=5, unique_by=lambda one: one.name), st.sets(FILES), st.randoms())
def test_whatever_manifests_say_no_file_is_lost_or_read_twice(told, paths, random):
    """Every file is read or left aside, or something is refused; all that is read was found; order changes nothing."""
    settled = settle(told, paths, "/".join)
    assert settled.read.keys() | settled.aside <= paths
    assert not settled.read.keys() & settled.aside
    if not settled.problems:
        assert settled.read.keys() | settled.aside == paths
        promised = [(promise.manifest, path) for path, promise in settled.read.items() if promise]
        listed = sum(len(one.files) for one in told if one.name in {name for name, _ in promised})
        assert len(promised) == listed, "each file of a manifest that decides is read"
    shuffled = random.sample(told, len(told))
    again = settle(shuffled, random.sample(sorted(paths), len(paths)), "/".join)
    assert (again.read, again.aside, sorted(again.problems)) == (settled.read, settled.aside, sorted(settled.problems))


def test_a_missing_file_is_not_found_in_another_delivery(tmp_path):
    """Every delivery calls its files alike: what one lacks is never taken from the next."""
    azure_export(tmp_path / "bill", "old", costs("1"), submitted="2026-09-04T00:00:00Z")
    new = azure_export(tmp_path / "bill", "new", costs("2"))
    (new.parent / "part_0_0001.csv").unlink()
    assert refused("bill", tmp_path) == [
        "bill/costs/20260901-20260930/new/manifest.json B252 lists files that aren't here (1 of 1): "
        "costs/20260901-20260930/new/part_0_0001.csv; deliver them again, at the place that the manifest gives"
    ]


def test_no_file_is_blamed_for_a_manifest_that_can_not_be_read(tmp_path):
    """One line, with what is wrong, and not one more for every file that it would have listed."""
    azure_export(tmp_path / "bill", "r1", costs("1"))
    azure_export(tmp_path / "bill", "r2", costs("2"), days="20261001-20261031").write_text('{"blobs":')
    [said] = refused("bill", tmp_path)
    assert said.startswith("bill/costs/20261001-20261031/r2/manifest.json B250 is no manifest that can be read: ")


def test_a_left_over_file_of_the_other_mode_is_not_taken_for_a_listed_one(tmp_path):
    """`cur-1.csv.gz` beside the delivery's folder is another file than the one inside."""
    month = aws_report(tmp_path / "bill", "aaaa", lines("1"))
    (month / "aaaa/cur-1.csv.gz").rename(month / "cur-1.csv.gz")
    for path in ("bill", "bill/cur/20260901-20261001"):
        said = refused(path, tmp_path, format="columns", mapping=CUR_MAPPING)
        assert [one.split()[1] for one in said] == ["B255", "B252"]


@pytest.mark.parametrize("key", ["/etc/passwd", "secret/bill.csv", "bill/../secret/bill.csv", "s3://x/a\\..\\b.csv"])
def test_a_key_opens_nothing_outside_the_folder(key, tmp_path):
    to_csv(tmp_path / "secret/bill.csv", rows({}))
    write_manifest(tmp_path / "bill/manifest.json", {"blobs": [{"blobName": key}]})
    said = refused("bill", tmp_path)
    assert [one.split()[:2] for one in said] in (
        [["bill/manifest.json", "B252"]],
        [["bill/manifest.json", "B251"]],
    )


def test_a_manifest_that_changes_meanwhile_is_refused(tmp_path):
    """A new delivery that lands while the old one is read is a reason to run again."""
    path = azure_export(tmp_path / "bill", "run", costs("1"))
    (tmp_path / "out").mkdir()
    source = BillingSource("bill", "focus", "bill", Position("governor.yaml", 7, 5))
    with pytest.raises(Refused, match=r"manifest\.json B018 changed while its files were read"):
        ingest(source, tmp_path, tmp_path / "out", progress=lambda *_: path.write_text(path.read_text() + "\n"))


# --- the bills of others ---------------------------------------------------------------------------------------------


def _sums(texts: list[str], *keys: str) -> dict[tuple[str, ...], Decimal]:
    """Add up the cost of csv texts by the given columns, independently of the engine."""
    totals: dict[tuple[str, ...], Decimal] = {}
    for text in texts:
        for row in csv.DictReader(io.StringIO(text)):
            key = tuple(row[name] for name in keys)
            totals[key] = totals.get(key, Decimal(0)) + Decimal(row["lineItem/UnblendedCost"] or "0")
    return totals


def test_a_generated_report_in_three_parts_is_read_whole(sample_data, tmp_path):
    """243,288 lines in three files by their manifest: to the last digit what the files hold, by account and product."""
    parts = sorted((sample_data / "billing/nise_generated").glob("aws_legacy_cur_*.csv.gz"))
    texts = [gzip.decompress(path.read_bytes()).decode() for path in parts]
    days, run = "20261001-20261101", "20261102T000000Z"
    for at, path in enumerate(parts, 1):
        (tmp_path / "bill/cur" / days / run).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, tmp_path / "bill/cur" / days / run / f"cur-{at}.csv.gz")
    header = next(csv.reader(io.StringIO(texts[0])))
    said = {
        "assemblyId": run,
        "reportName": "cur",
        "contentType": "text/csv",
        "columns": [dict(zip(("category", "name"), name.split("/", 1), strict=True)) for name in header],
        "reportKeys": [f"x/cur/{days}/{run}/cur-{at}.csv.gz" for at in range(1, len(parts) + 1)],
    }
    write_manifest(tmp_path / "bill/cur" / days / "cur-Manifest.json", said)
    mapping = {name: column for name, column in CUR_MAPPING.items() if not name.startswith("Tags")}
    delivery = take("bill", tmp_path, format="columns", mapping=mapping, options={"tags": "none"})
    totals: dict[tuple[str, ...], Decimal] = {}
    for row in charges(delivery):
        key = (row["sub_account_id"], row["service_name"], row["billing_currency"])
        totals[key] = totals.get(key, Decimal(0)) + row["billed_cost"]
    assert totals == _sums(texts, "lineItem/UsageAccountId", "lineItem/ProductCode", "lineItem/CurrencyCode")
    assert [one.rows for one in delivery.files] == [len(text.splitlines()) - 1 for text in texts]
    assert sum(one.rows for one in delivery.files) == 243_288


def test_a_report_whose_manifest_is_of_another_time_is_refused(sample_data, tmp_path):
    """A public project's report and manifest, as they lie in its tests: 130 columns, of which the manifest knows 57."""
    koku = sample_data / "billing/koku"
    folder = tmp_path / "bill/koku-local/20180801-20180901"
    run = folder / "16e57707-f9e3-49be-8be6-b84e684b5194"
    run.mkdir(parents=True)
    shutil.copyfile(koku / "aws_cur_manifest.json", folder / "koku-local-Manifest.json")
    shutil.copyfile(koku / "koku_local_cur_13380.csv.gz", run / "koku-local-1.csv.gz")
    [said] = refused("bill", tmp_path, format="columns", mapping=CUR_MAPPING | {"Tags.owner": "lineItem/ProductCode"})
    assert "B257 has other columns than bill/koku-local/20180801-20180901/koku-local-Manifest.json says: " in said


def test_an_export_that_was_not_downloaded_whole_is_refused(sample_data, tmp_path):
    """A public manifest without its partition."""
    folder = tmp_path / "bill/partitioned/20230101-20230131/202301041442/73746dc5-5dcc-4b83-b340-bb1bd2b1ca30"
    folder.mkdir(parents=True)
    shutil.copyfile(sample_data / "billing/koku/azure_export_manifest.json", folder / "manifest.json")
    [said] = refused("bill", tmp_path)
    assert "B252 lists files that aren't here (1 of 1): cost/partitioned/20230101-20230131/202301041442/" in said
