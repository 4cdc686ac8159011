"""Mistakes that people make in such programs, each as an edit of one file.

`trap` marks those of the first deployment: they pass every check on a laptop but the ones here, and
fail, or silently do nothing, in a fresh project.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    name: str
    file: str
    old: str
    new: str
    trap: bool = False


MISTAKES = (
    # APIs and order
    Mistake("an API is not switched on", "apis", '    "eventarc",\n', "", trap=True),
    Mistake("signBlob's API is not switched on", "apis", '    "iamcredentials",\n', "", trap=True),
    Mistake(
        "destroying switches APIs off",
        "apis",
        "disable_on_destroy=False",
        "disable_on_destroy=True",
    ),
    Mistake(
        "resources do not wait for their API",
        "apis",
        "depends_on=services + (after or [])",
        "depends_on=after or []",
        trap=True,
    ),
    Mistake(
        "creates are not tried again",
        "apis",
        "            hooks=self._hooks(),\n        )\n\n    def invoke",
        "        )\n\n    def invoke",
        trap=True,
    ),
    Mistake(
        "a keyword that does not exist",
        "apis",
        "protect=protect or None",
        "protected=protect or None",
    ),
    Mistake(
        "a service's name is misspelt",
        "apis",
        'f"{name}.googleapis.com"',
        'f"{name}.googleapi.com"',
    ),
    # Accounts and grants
    Mistake(
        "Google's agent was never asked for",
        "accounts",
        'for name in ("eventarc", "pubsub")',
        'for name in ("pubsub",)',
        trap=True,
    ),
    Mistake(
        "Eventarc's agent has no role",
        "grants",
        '"roles/eventarc.serviceAgent"',
        '"roles/eventarc.viewer"',
        trap=True,
    ),
    Mistake(
        "storage's agent may not publish",
        "grants",
        '        "agent:storage",\n        "roles/pubsub.publisher"',
        '        "agent:storage",\n        "roles/pubsub.viewer"',
        trap=True,
    ),
    Mistake(
        "the trigger may not receive",
        "grants",
        '"roles/eventarc.eventReceiver", "project"',
        '"roles/eventarc.viewer", "project"',
        trap=True,
    ),
    Mistake(
        "the signer may not sign as itself",
        "grants",
        '"roles/iam.serviceAccountTokenCreator"',
        '"roles/iam.serviceAccountUser"',
        trap=True,
    ),
    Mistake(
        "dead letters cannot be written",
        "grants",
        'yield Grant("agent:pubsub", "roles/pubsub.publisher", "topic", topic, why)',
        "pass",
        trap=True,
    ),
    Mistake(
        "dead letters cannot be acknowledged",
        "grants",
        'yield Grant("agent:pubsub", "roles/pubsub.subscriber", "subscription", one.name, why)',
        "pass",
        trap=True,
    ),
    Mistake(
        "nobody may push",
        "grants",
        'yield Grant("pusher", invoker, "service", one, "delivers messages of our topics")',
        "pass",
    ),
    Mistake(
        "the scheduler may not call",
        "grants",
        'yield Grant("scheduler", invoker, "service", one, "says that it is time")',
        "pass",
    ),
    Mistake(
        "an editor for convenience", "grants", '"roles/cloudbuild.builds.builder"', '"roles/editor"'
    ),
    Mistake("the database's role without its condition", "grants", "        _CONDITION,\n", ""),
    Mistake(
        "a role's name is misspelt",
        "grants",
        '"roles/storage.objectUser", "promotes',
        '"role/storage.objectUser", "promotes',
    ),
    Mistake("a secret is not opened", "grants", '"roles/secretmanager.secretAccessor", ', ""),
    Mistake(
        "an account's name is too short",
        "accounts",
        '"pusher": "delivers',
        '"push": "delivers',
        trap=True,
    ),
    Mistake(
        "a Binding instead of a Member",
        "buckets",
        "storage.BucketIAMMember(",
        "storage.BucketIAMBinding(",
    ),
    Mistake(
        "the invoker's role on the function",
        "cloud_functions",
        "cloudrunv2.ServiceIamMember(\n            f",
        "cloudfunctionsv2.FunctionIamMember(\n            f",
        trap=True,
    ),
    # Buckets and the database
    Mistake(
        "a bucket in another region",
        "buckets",
        "            # The trigger's region, hence the function's: a bucket elsewhere raises no event there.\n            location=self._settings.region",
        '            location="us-central1"',
        trap=True,
    ),
    Mistake(
        "a bucket that could be public",
        "buckets",
        'public_access_prevention="enforced",\n            versioning',
        'public_access_prevention="inherited",\n            versioning',
    ),
    Mistake("an unknown value of an enumeration", "database", '"FIRESTORE_NATIVE"', '"NATIVE"'),
    Mistake(
        "a misspelt key in a dict",
        "buckets",
        '{"retention_duration_seconds": declared.soft_delete}',
        '{"retention_seconds": declared.soft_delete}',
    ),
    Mistake(
        "a list where one is wanted",
        "buckets",
        'versioning={"enabled": declared.versioning}',
        'versioning=[{"enabled": declared.versioning}]',
    ),
    Mistake(
        "days instead of seconds",
        "database",
        'f"{settings.backup_days * _DAY}s"',
        'f"{settings.backup_days}d"',
        trap=True,
    ),
    Mistake(
        "the database stays behind",
        "database",
        '            deletion_policy="ABANDON" if kept else "DELETE",\n',
        "",
        trap=True,
    ),
    Mistake("no protection in production", "database", "protect=kept)", "protect=False)"),
    Mistake(
        "a required input is missing", "database", "            location_id=settings.region,\n", ""
    ),
    Mistake(
        "the order of an index is misspelt",
        "database",
        "field_path=path, order=order",
        'field_path=path, order="DESC"',
    ),
    # Messages and schedules
    Mistake(
        "a dead letter's topic by its short name",
        "messaging",
        "[declared.dead_letter_topic].id",
        "[declared.dead_letter_topic].name",
        trap=True,
    ),
    Mistake(
        "a subscription that ends",
        "messaging",
        '            expiration_policy={"ttl": ""},\n',
        "",
        trap=True,
    ),
    Mistake(
        "a duration without its s",
        "messaging",
        'minimum_backoff=f"{declared.min_backoff}s"',
        'minimum_backoff=f"{declared.min_backoff}"',
        trap=True,
    ),
    Mistake(
        "a push without a token",
        "messaging",
        '                oidc_token=pubsub.SubscriptionPushConfigOidcTokenArgs(\n                    service_account_email=self._accounts.of["pusher"].email, audience=uri\n                ),\n',
        "",
    ),
    Mistake(
        "a token for somebody else",
        "schedules",
        'service_account_email=accounts.of["scheduler"].email, audience=uri',
        'service_account_email=accounts.of["scheduler"].email, audience="https://example.com"',
        trap=True,
    ),
    Mistake(
        "a deadline out of range",
        "schedules",
        "_SHORTEST, _LONGEST = 15, 1800",
        "_SHORTEST, _LONGEST = 5, 5",
        trap=True,
    ),
    Mistake(
        "an output in a text",
        "schedules",
        "uri=pulumi.Output.concat(uri, declared.path)",
        'uri=f"{uri}{declared.path}"',
    ),
    Mistake(
        "a schedule of six fields",
        "schedules",
        "schedule=declared.cron",
        'schedule=f"0 {declared.cron}"',
    ),
    # Functions
    Mistake("an unknown runtime", "cloud_functions", '"python312"', '"python3.12"', trap=True),
    Mistake(
        "an event that fails once is forgotten",
        "cloud_functions",
        '            retry_policy=(\n                "RETRY_POLICY_RETRY" if declared.trigger.retry else "RETRY_POLICY_DO_NOT_RETRY"\n            ),\n',
        "",
        trap=True,
    ),
    Mistake(
        "concurrency on a part of a processor",
        "cloud_functions",
        'available_cpu=f"{declared.cpu:g}"',
        'available_cpu="0.5"',
        trap=True,
    ),
    Mistake(
        "no THREADS",
        "environment",
        'declared | {"THREADS": str(function.threads)}',
        "declared",
        trap=True,
    ),
    Mistake(
        "the build by the default account",
        "cloud_functions",
        '                service_account=accounts.of["builder"].name,\n',
        "",
        trap=True,
    ),
    Mistake(
        "all functions as one account",
        "cloud_functions",
        "self._accounts.of[account_id(declared.name)].email",
        'self._accounts.of["fn-auth"].email',
    ),
    Mistake(
        "an archive without its digest",
        "cloud_functions",
        "name=archive.name,",
        'name=f"{declared.name}.zip",',
    ),
    Mistake(
        "a trigger in another region",
        "cloud_functions",
        "trigger_region=self._settings.region",
        'trigger_region="europe-west4"',
        trap=True,
    ),
    Mistake(
        "functions do not wait for grants",
        "cloud_functions",
        "after=self._before(declared)",
        "after=[]",
        trap=True,
    ),
    Mistake(
        "memory without a unit that exists",
        "cloud_functions",
        'f"{declared.memory_mib}Mi"',
        'f"{declared.memory_mib}MB"',
    ),
    Mistake(
        "the entry point is main",
        "cloud_functions",
        "entry_point=declared.name",
        'entry_point="main"',
    ),
    Mistake(
        "the gateway can be walked round",
        "cloud_functions",
        '"ALLOW_INTERNAL_AND_GCLB" if self._settings.domain',
        '"ALLOW_ALL" if self._settings.domain',
        trap=True,
    ),
    Mistake(
        "everybody may call although the flag is off",
        "cloud_functions",
        '            if grant.who != "allUsers" or settings.public_invocation\n',
        "",
    ),
    Mistake(
        "two resources of one name", "cloud_functions", 'f"archive-{declared.name}"', '"archive"'
    ),
    # Around
    Mistake("two rules of one priority", "edge", "_limited(2000, ", "_limited(1000, ", trap=True),
    Mistake("an unknown action", "edge", '"deny(429)"', '"deny(425)"'),
    Mistake(
        "every repository may deploy",
        "delivery",
        "            attribute_condition=f'assertion.repository == \"{settings.repository}\"',\n",
        "",
        trap=True,
    ),
    Mistake(
        "an alert on a metric that nobody makes",
        "observability",
        '_own("snaptask_outbox_seconds")',
        '_own("snaptask_outbox_age")',
        trap=True,
    ),
    Mistake(
        "a chart with an unknown field",
        "dashboard",
        '"plotType": "LINE"',
        '"plotTyp": "LINE"',
        trap=True,
    ),
    Mistake(
        "a check that asks past the balancer",
        "observability",
        'labels={"host": host,',
        'labels={"host": "acme-prod.cloudfunctions.net",',
        trap=True,
    ),
    Mistake(
        "a goal of more than all",
        "observability",
        '"api-success", 0.999',
        '"api-success", 99.9',
    ),
    Mistake(
        "a setting that is read under another name",
        "schedules",
        "region=settings.region",
        "region=settings.location",
    ),
    Mistake(
        "a relative import", "__main__", "from infra.apis import APIs", "from .apis import APIs"
    ),
)
