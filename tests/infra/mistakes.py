"""Mistakes that people make in such programs, each as an edit of one file.

`trap` names one of the first deployment's (TRAPS): those pass every check on a laptop but the ones
here, and fail, or silently do nothing, in a fresh project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    name: str
    file: str
    old: str
    new: str
    trap: str = ""


# What is known to go wrong with a first deployment, as the promise that each breaks.
TRAPS: Mapping[str, str] = {
    "bootstrap": "Resource Manager, Service Usage and IAM are on before the first up",
    "apis": "every resource waits for its API",
    "hook": "creates that come too early are tried again, and only those",
    "asynchronous": "what a create that failed asynchronously left behind is not made again",
    "eventarc-agent": "Eventarc's agent is asked for and has its role",
    "storage-agent": "storage's agent publishes, and is asked for once storage is on",
    "trigger-account": "the trigger's account receives and invokes, on the Cloud Run service",
    "builder": "the build has an account of its own, with the builder role",
    "signer": "a signer may sign as itself, as itself, over an API that is on",
    "dead-letters": "Pub/Sub's agent publishes dead letters and acknowledges their source",
    "dead-letter-topic": "a dead-letter topic is named in full",
    "expiration": "the subscription of dead letters never ends",
    "new-metrics": "alerts wait for metrics of our own",
    "region": "bucket, trigger and function stand in one region",
    "database": "a trial takes its database away, production keeps it",
    "concurrency": "concurrency needs a processor and THREADS",
    "public": "who lets everybody in says so by a flag",
    "balancer": "behind the balancer nobody walks round it, also no check",
    "federation": "one repository is let in",
    "members": "grants are single members",
    "scheduler": "tokens for the function itself, deadlines of 15 s to 30 min",
    "bundle": "no pulumi and no pytest in an archive",
    "secrets": "secret values are read at run time",
    "names": "names, durations and values within what Google takes",
}
# Traps outside the program, and the test that stands for a mistake there.
ELSEWHERE: Mapping[str, tuple[str, str]] = {
    "bootstrap": (
        "tests/infra/test_mistakes.py",
        "test_the_line_before_the_first_up_is_documented",
    ),
    "bundle": (
        "tests/tools/test_bundle.py",
        "test_an_archive_carries_no_tool_of_ours",
    ),
}

MISTAKES = (
    # APIs and order
    Mistake("an API is not switched on", "apis", '    "eventarc",\n', "", trap="apis"),
    Mistake(
        "signBlob's API is not switched on", "apis", '    "iamcredentials",\n', "", trap="signer"
    ),
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
        trap="apis",
    ),
    Mistake(
        "creates are not tried again",
        "apis",
        "            hooks=self._hooks(),\n        )\n\n    def invoke",
        "        )\n\n    def invoke",
        trap="hook",
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
        trap="eventarc-agent",
    ),
    Mistake(
        "Eventarc's agent has no role",
        "grants",
        '"roles/eventarc.serviceAgent"',
        '"roles/eventarc.viewer"',
        trap="eventarc-agent",
    ),
    Mistake(
        "storage's agent may not publish",
        "grants",
        '        "agent:storage",\n        "roles/pubsub.publisher"',
        '        "agent:storage",\n        "roles/pubsub.viewer"',
        trap="storage-agent",
    ),
    Mistake(
        "the trigger may not receive",
        "grants",
        '"roles/eventarc.eventReceiver", "project"',
        '"roles/eventarc.viewer", "project"',
        trap="trigger-account",
    ),
    Mistake(
        "the signer may not sign as itself",
        "grants",
        '"roles/iam.serviceAccountTokenCreator"',
        '"roles/iam.serviceAccountUser"',
        trap="signer",
    ),
    Mistake(
        "dead letters cannot be written",
        "grants",
        'yield Grant("agent:pubsub", "roles/pubsub.publisher", "topic", topic, why)',
        "pass",
        trap="dead-letters",
    ),
    Mistake(
        "dead letters cannot be acknowledged",
        "grants",
        'yield Grant("agent:pubsub", "roles/pubsub.subscriber", "subscription", one.name, why)',
        "pass",
        trap="dead-letters",
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
        "an editor for convenience",
        "grants",
        '"roles/cloudbuild.builds.builder"',
        '"roles/editor"',
        trap="builder",
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
        trap="names",
    ),
    Mistake(
        "a Binding instead of a Member",
        "buckets",
        "storage.BucketIAMMember(",
        "storage.BucketIAMBinding(",
        trap="members",
    ),
    Mistake(
        "the invoker's role on the function",
        "cloud_functions",
        "cloudrunv2.ServiceIamMember(\n            f",
        "cloudfunctionsv2.FunctionIamMember(\n            f",
        trap="trigger-account",
    ),
    # Buckets and the database
    Mistake(
        "a bucket in another region",
        "buckets",
        "            # The trigger's region, hence the function's: a bucket elsewhere raises no event there.\n            location=self._settings.region",
        '            location="us-central1"',
        trap="region",
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
        trap="names",
    ),
    Mistake(
        "the database stays behind",
        "database",
        '            deletion_policy="ABANDON" if kept else "DELETE",\n',
        "",
        trap="database",
    ),
    Mistake(
        "no protection in production",
        "database",
        "protect=kept)",
        "protect=False)",
        trap="database",
    ),
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
        trap="dead-letter-topic",
    ),
    Mistake(
        "a subscription that ends",
        "messaging",
        '            expiration_policy={"ttl": ""},\n',
        "",
        trap="expiration",
    ),
    Mistake(
        "a duration without its s",
        "messaging",
        'minimum_backoff=f"{declared.min_backoff}s"',
        'minimum_backoff=f"{declared.min_backoff}"',
        trap="names",
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
        trap="scheduler",
    ),
    Mistake(
        "a deadline out of range",
        "schedules",
        "_SHORTEST, _LONGEST = 15, 1800",
        "_SHORTEST, _LONGEST = 5, 5",
        trap="scheduler",
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
    Mistake("an unknown runtime", "cloud_functions", '"python312"', '"python3.12"', trap="names"),
    Mistake(
        "an event that fails once is forgotten",
        "cloud_functions",
        '            retry_policy=(\n                "RETRY_POLICY_RETRY" if declared.trigger.retry else "RETRY_POLICY_DO_NOT_RETRY"\n            ),\n',
        "",
        trap="trigger-account",
    ),
    Mistake(
        "concurrency on a part of a processor",
        "cloud_functions",
        'available_cpu=f"{declared.cpu:g}"',
        'available_cpu="0.5"',
        trap="concurrency",
    ),
    Mistake(
        "no THREADS",
        "environment",
        'declared | {"THREADS": str(function.threads)}',
        "declared",
        trap="concurrency",
    ),
    Mistake(
        "the build by the default account",
        "cloud_functions",
        '                service_account=accounts.of["builder"].name,\n',
        "",
        trap="builder",
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
        trap="region",
    ),
    Mistake(
        "functions do not wait for grants",
        "cloud_functions",
        "after=self._before(declared)",
        "after=[]",
        trap="trigger-account",
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
        trap="balancer",
    ),
    Mistake(
        "everybody may call although the flag is off",
        "cloud_functions",
        '            if grant.who != "allUsers" or settings.public_invocation\n',
        "",
        trap="public",
    ),
    Mistake(
        "two resources of one name", "cloud_functions", 'f"archive-{declared.name}"', '"archive"'
    ),
    # Around
    Mistake(
        "two rules of one priority", "edge", "_limited(2000, ", "_limited(1000, ", trap="names"
    ),
    Mistake("an unknown action", "edge", '"deny(429)"', '"deny(425)"'),
    Mistake(
        "every repository may deploy",
        "delivery",
        'f"{repository} && (',
        'f"(',
        trap="federation",
    ),
    Mistake(
        "every branch may deploy",
        "delivery",
        "{repository} && ({' || '.join(jobs)})",
        "{repository}",
        trap="federation",
    ),
    Mistake(
        "a branch that nobody read may deploy where its environment is not protected",
        "delivery",
        ' && assertion.ref == "{_BRANCH}"\'',
        "'",
        trap="federation",
    ),
    Mistake(
        "a pull request may deploy",
        "delivery",
        'self._admit("deploy", deploying,',
        'self._admit("deploy", "preview",',
        trap="federation",
    ),
    Mistake(
        "a pull request may see production's state",
        "delivery",
        "        if not settings.production:\n            jobs.append(",
        "        if True:\n            jobs.append(",
        trap="federation",
    ),
    Mistake(
        "a preview may change things", "delivery", '"preview", _PREVIEW_ROLES', '"preview", _ROLES'
    ),
    Mistake(
        "an alert on a metric that nobody makes",
        "observability",
        '_own("snaptask_outbox_seconds")',
        '_own("snaptask_outbox_age")',
        trap="new-metrics",
    ),
    Mistake(
        "a chart with an unknown field",
        "dashboard",
        '"plotType": "LINE"',
        '"plotTyp": "LINE"',
        trap="names",
    ),
    Mistake(
        "a check that asks past the balancer",
        "observability",
        'labels={"host": host,',
        'labels={"host": "acme-prod.cloudfunctions.net",',
        trap="balancer",
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
        "a grant that spreads ends the first up",
        "retries",
        '    "does not exist",\n',
        "",
        trap="hook",
    ),
    Mistake(
        "what failed asynchronously is made twice",
        "retries",
        "        and not any(text in errors[0] for text in _LEFT_BEHIND)\n",
        "",
        trap="asynchronous",
    ),
    Mistake(
        "storage's agent is asked for while storage is off",
        "accounts",
        ', opts=self._apis.invoke(self, "storage")',
        "",
        trap="storage-agent",
    ),
    Mistake(
        "the trigger may not call",
        "grants",
        'yield Grant("trigger", invoker, "service", function.name, why)',
        "pass",
        trap="trigger-account",
    ),
    Mistake(
        "the builder may not build",
        "grants",
        '"roles/cloudbuild.builds.builder"',
        '"roles/cloudbuild.builds.viewer"',
        trap="builder",
    ),
    Mistake(
        "a signer signs as somebody else",
        "environment",
        "account_email(function.name, project)",
        'account_email("auth", project)',
        trap="signer",
    ),
    Mistake(
        "a secret as environment",
        "cloud_functions",
        "            environment_variables=environment(declared, self._settings, self._made),\n",
        "            environment_variables=environment(declared, self._settings, self._made),\n"
        "            secret_environment_variables=[\n"
        "                cloudfunctionsv2.FunctionServiceConfigSecretEnvironmentVariableArgs(\n"
        '                    key="KEY", project_id="p", secret="signing-key", version="latest"\n'
        "                )\n"
        "            ],\n",
        trap="secrets",
    ),
    # What only shows when the program runs as the CLI runs it
    Mistake(
        "resources that a preview does not know",
        "__main__",
        "Schedules(settings, apis, accounts, functions)\n",
        'functions.uri("auth").apply(lambda _: Schedules(settings, apis, accounts, functions))\n',
    ),
    Mistake(
        "nobody is told the address",
        "__main__",
        'pulumi.export("api", settings.base_url)\n',
        "",
    ),
    Mistake(
        "settings that the CLI does not hand over so",
        "__main__",
        "{**config.get_config_env(), **config.CONFIG.get()}",
        "dict(config.CONFIG.get())",
    ),
    Mistake(
        "modules that are not found from Pulumi's folder",
        "__main__",
        "sys.path.insert(0, str(Path(__file__).resolve().parents[1]))\n",
        "",
    ),
    # Watching
    Mistake(
        "alerts do not wait for their metrics",
        "observability",
        "[*functions.of.values(), *metrics]",
        "[*functions.of.values()]",
        trap="new-metrics",
    ),
    Mistake(
        "an alert that does not say what to do",
        "observability",
        """            documentation=monitoring.AlertPolicyDocumentationArgs(
                content=entry.text, mime_type="text/markdown"
            ),
""",
        "",
    ),
    Mistake(
        "a burn rate over three days",
        "observability",
        "(1.0, 86_400, 7200)",
        "(1.0, 259_200, 21_600)",
        trap="names",
    ),
    Mistake(
        "an objective of all",
        "observability",
        '"nothing-lost", "Uploads: none that was taken is lost", 0.9999',
        '"nothing-lost", "Uploads: none that was taken is lost", 0.99999',
        trap="names",
    ),
    Mistake(
        "a relative import", "__main__", "from infra.apis import APIs", "from .apis import APIs"
    ),
)
