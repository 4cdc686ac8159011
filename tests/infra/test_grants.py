"""The list of grants is whole, and the document says what it says."""

from __future__ import annotations

from infra.declaration import DECLARATION
from infra.environment import account_id
from infra.grants import grants, table
from tests.fixtures.sources import ROOT


def test_the_document_is_the_list() -> None:
    assert (ROOT / "docs" / "grants.md").read_text() == table()


def test_a_function_may_do_something_with_each_bucket_it_is_told_of_and_with_no_other() -> None:
    listed = [one for one in grants() if one.kind == "bucket"]
    granted = {(one.who, one.on) for one in listed if not one.setting}
    told = {
        (account_id(function.name), bucket.name)
        for function in DECLARATION.functions
        for bucket in DECLARATION.buckets
        if bucket.env in function.env
    }
    assert granted == told


def test_the_scan_service_reads_and_one_function_asks_it() -> None:
    listed = [one for one in grants() if one.setting == "scannerImage"]
    assert {(one.who, one.role, f"{one.kind} {one.on}") for one in listed} == {
        ("scanner", "roles/storage.objectViewer", "bucket inbox"),
        ("scanner", "roles/storage.objectViewer", "bucket signatures"),
        ("mirror", "roles/storage.objectUser", "bucket signatures"),
        ("fn-thumbnails", "roles/run.invoker", "service scanner"),
        ("scheduler", "roles/run.invoker", "job signatures"),
    }
    others = {one.who for one in grants() if one not in listed}
    assert not {"scanner", "mirror"} & others


def test_no_grant_comes_twice_and_each_says_why() -> None:
    keys = [(one.who, one.role, one.kind, one.on) for one in grants()]
    assert len(set(keys)) == len(keys)
    assert all(one.why for one in grants())


def test_everybody_gets_to_functions_that_ask_who_it_is_and_to_the_apps_files_only() -> None:
    public = {(one.kind, one.on, one.role) for one in grants() if one.who.startswith("all")}
    asking = [one.name for one in DECLARATION.functions if one.kind == "http"]
    assert public == {
        ("bucket", "web", "roles/storage.legacyObjectReader"),
        *(("service", name, "roles/run.invoker") for name in asking),
    }


def test_only_google_itself_the_build_and_the_trigger_hold_a_role_on_the_whole_project() -> None:
    whole = {(one.who, one.role) for one in grants() if one.kind == "project" and not one.condition}
    assert whole == {
        ("builder", "roles/cloudbuild.builds.builder"),
        ("agent:eventarc", "roles/eventarc.serviceAgent"),
        ("agent:storage", "roles/pubsub.publisher"),
        ("trigger", "roles/eventarc.eventReceiver"),
    }
