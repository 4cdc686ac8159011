"""The program as recorded: layers (a) to (c), the promises, and the local cloud beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from typing import Any

import pytest

from emulators.plan import Plan
from infra.declaration import DECLARATION, bucket_name
from infra.environment import account_email
from infra.grants import grants
from tests.fixtures.sources import ROOT
from tests.infra import rules, site
from tests.infra.recordings import Recording, members, recorded, run
from tests.infra.stacks import DEV, PROD, STACKS

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("infra")]

# The accounts of GitHub's workflows, beside the system's own.
_DELIVERY = ("deploy-", "preview-")


@cache
def of(stack: str) -> Recording:
    return recorded(STACKS[stack], stack)


@pytest.mark.parametrize("stack", STACKS)
def test_the_program_runs_to_its_end(stack: str) -> None:
    assert of(stack).error == ""
    assert len(of(stack).resources) > 100


@pytest.mark.parametrize("stack", STACKS)
def test_every_input_is_one_that_the_sdk_knows(stack: str) -> None:
    assert run("schema.py", told=[asdict(one) for one in of(stack).resources]) == []


@pytest.mark.parametrize("stack", STACKS)
def test_no_rule_of_googles_is_broken(stack: str) -> None:
    assert rules.findings(of(stack)) == []


def test_two_runs_make_identical_resources() -> None:
    assert recorded(PROD, "prod").resources == of("prod").resources


def test_dev_and_prod_differ_only_in_what_settings_say() -> None:
    """The same settings in both: then nothing differs but the stack's name in the URNs."""
    again = recorded(PROD, "dev")
    plain = [
        json.dumps(asdict(one), sort_keys=True)
        .replace("pulumi:dev::", "pulumi:prod::")
        .replace("snaptask-dev", "snaptask-prod")
        for one in again.resources
    ]
    assert plain == [json.dumps(asdict(one), sort_keys=True) for one in of("prod").resources]


def test_without_the_flag_nobody_is_let_in() -> None:
    closed = recorded({**DEV, "snaptask:publicInvocation": "false"})
    assert closed.error == ""
    assert not [one for one in members(closed) if "allUsers" in one.inputs["member"]]
    assert rules.findings(closed) == []


def test_without_a_repository_nobody_comes_in_from_github() -> None:
    alone = recorded({key: value for key, value in DEV.items() if key != "snaptask:repository"})
    assert alone.error == ""
    assert not [one for one in alone.resources if "Workload" in one.type]
    assert not [one for one in members(alone) if one.name.startswith(_DELIVERY)]


@pytest.mark.parametrize("stack", STACKS)
def test_the_grants_are_those_of_the_list(stack: str) -> None:
    """docs/grants.md is that list; the workflows' own accounts are described beside it."""
    told = {
        (one.inputs["role"], _who(str(one.inputs["member"])))
        for one in members(of(stack))
        if not one.name.startswith(_DELIVERY)
    }
    # The app's files are there with a domain only, the scan service with its image.
    given = STACKS[stack]
    wanted = [one for one in grants() if not one.setting or f"snaptask:{one.setting}" in given]
    assert told == {(one.role, one.who) for one in wanted}
    count = [one for one in members(of(stack)) if not one.name.startswith(_DELIVERY)]
    assert len(count) == len(wanted)


def _who(member: str) -> str:
    for agent, part in (
        ("agent:eventarc", "@gcp-sa-eventarc."),
        ("agent:pubsub", "@gcp-sa-pubsub."),
        ("agent:storage", "@gs-project-accounts."),
    ):
        if part in member:
            return agent
    return member.removeprefix("serviceAccount:").partition("@")[0]


def test_both_clouds_are_made_from_the_declaration(tmp_path: Any) -> None:
    """Buckets, topics, subscriptions, functions with their environment, schedules, secrets."""
    program, plan = of("dev"), Plan.usual(tmp_path)
    project = DEV["gcp:project"]
    named = {
        ("storage", "Bucket"): {bucket_name(project, one.name) for one in DECLARATION.buckets},
        ("pubsub", "Topic"): {one.name for one in DECLARATION.topics},
        ("cloudfunctionsv2", "Function"): {one.name for one in DECLARATION.functions},
        ("cloudscheduler", "Job"): {one.name for one in DECLARATION.schedules},
    }
    for (area, kind), names in named.items():
        made = {one.inputs["name"] for one in program.of(area, kind)}
        assert made - {bucket_name(project, "sources")} == names
    for one in DECLARATION.functions:
        local = set(plan.environment(one)) & set(one.env)
        cloud = _function(program, one.name)["serviceConfig"]["environmentVariables"]
        assert set(cloud) - {"THREADS"} <= local


def _function(program: Recording, name: str) -> Mapping[str, Any]:
    (found,) = [
        one.inputs
        for one in program.of("cloudfunctionsv2", "Function")
        if one.inputs["name"] == name
    ]
    return found


def test_what_the_declaration_says_of_each_part_arrives() -> None:
    program = of("prod")
    for one in DECLARATION.functions:
        service = _function(program, one.name)["serviceConfig"]
        assert service["timeoutSeconds"] == one.timeout
        assert service["maxInstanceRequestConcurrency"] == one.concurrency
        assert service["availableMemory"] == f"{one.memory_mib}Mi"
        assert service["serviceAccountEmail"] == account_email(one.name, PROD["gcp:project"])
        assert service["minInstanceCount"] == (1 if one.name == "auth" else one.min_instances)
    subscriptions = {one.inputs["name"]: one.inputs for one in program.of("pubsub", "Subscription")}
    for push in DECLARATION.subscriptions:
        made = subscriptions[push.name]
        assert made["ackDeadlineSeconds"] == push.ack_deadline
        policy = made.get("deadLetterPolicy", {})
        assert bool(policy) == (push.dead_letter_topic is not None)
        assert policy.get("maxDeliveryAttempts", push.max_attempts) == push.max_attempts
        assert made.get("filter", "") == push.filter
        assert push.function in made["pushConfig"]["pushEndpoint"]
    jobs = {one.inputs["name"]: one.inputs for one in program.of("cloudscheduler", "Job")}
    for job in DECLARATION.schedules:
        assert jobs[job.name]["schedule"] == job.cron
        assert jobs[job.name]["httpTarget"]["uri"].endswith(job.path)


def test_every_query_has_its_index_and_every_deadline_its_policy() -> None:
    program = of("prod")
    made = {
        (
            one.inputs["collection"],
            *((f["fieldPath"], f.get("order", "CONTAINS")) for f in one.inputs["fields"]),
        )
        for one in program.of("firestore", "Index")
    }
    assert made == {(one.collection, *one.told) for one in DECLARATION.indexes}
    fields = {
        (one.inputs["collection"], one.inputs["field"]) for one in program.of("firestore", "Field")
    }
    assert fields == set(DECLARATION.ttl_fields)


def test_buckets_take_what_a_browser_sends_and_forget_what_nobody_fetched() -> None:
    made = {one.name: one.inputs for one in of("prod").of("storage", "Bucket")}
    for declared in DECLARATION.buckets:
        bucket = made[f"bucket-{declared.name}"]
        (cors,) = bucket["cors"]
        assert cors["methods"] == list(declared.browser_methods)
        assert cors["responseHeaders"] == list(DECLARATION.cors_headers)
        assert cors["origins"] == ["https://tasks.example.com", "https://app.example.com"]
        assert bucket["versioning"]["enabled"] is declared.versioning
        assert bucket["softDeletePolicy"]["retentionDurationSeconds"] == declared.soft_delete
        ages = [rule["condition"].get("age") for rule in bucket.get("lifecycleRules", ())]
        assert [age for age in ages if age] == [age for age in [declared.delete_after_days] if age]


def test_an_edit_of_one_function_renames_one_archive(tmp_path: Any) -> None:
    import shutil

    for name in ("functions", "infra", "shared", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "constraints.txt", tmp_path)
    main = tmp_path / "functions" / "activity" / "main.py"
    main.write_text(main.read_text() + "# edited\n")
    edited = recorded(DEV, "dev", tmp_path)
    before, after = archives(of("dev")), archives(edited)
    assert {name for name in before if before[name] != after[name]} == {"archive-activity"}


@pytest.mark.parametrize(
    ("path", "backend", "asked"),
    [
        ("/api/tasks/x/comments", "edge-tasks", "/x/comments"),
        ("/api/auth/health", "edge-auth", "/health"),
        ("/health", "edge-auth", "/health"),
        ("/api/nothing", "edge-auth", "/api/nothing"),
        ("/api/docs", "web-app", "/api/docs"),
        ("/assets/app-1a2b.js", "web-app", "/assets/app-1a2b.js"),
        ("/nothing", "web-app", "/nothing"),
        ("/tasks/x/y", "web-app", "/tasks/x/y"),
    ],
)
def test_the_load_balancer_leads_as_the_gateway_does(path: str, backend: str, asked: str) -> None:
    found = site.led(of("prod"), path)
    assert found is not None
    assert (found.backend, found.path) == (backend, asked)


def test_what_the_bucket_does_not_have_is_the_page_with_a_404() -> None:
    found, page = site.led(of("prod"), "/nothing"), site.led(of("prod"), "/")
    assert found is not None
    assert page is not None
    assert found.missing == (page.path, 404)
    assert page.missing is None


def archives(program: Recording) -> dict[str, str]:
    found = program.of("storage", "BucketObject")
    return {one.name: one.inputs["name"] for one in found if one.name.startswith("archive-")}
