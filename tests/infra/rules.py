"""Layer (c): what Google expects of the resources together, as rules over a recording.

Each rule yields findings and has its reason in its docstring; `findings` runs them all. The order
of creation is part of it: what is made before what it needs fails at the first deployment only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from tests.infra.deliveries import (
    DURATION,
    INVOKER,
    PUBLISHER,
    delivers_messages,
    feeds_triggers,
    keeps_time,
)
from tests.infra.recordings import Recording, Resource, granted, members, uri_of
from tests.infra.scanning import scans_by_a_service_of_its_own
from tests.infra.site import serves_the_app

Rule = Callable[[Recording], Iterator[str]]
_APIS = {
    "billing": ("billingbudgets",),
    "cloudfunctionsv2": ("cloudfunctions", "cloudbuild", "artifactregistry", "run"),
    "cloudrunv2": ("run",),
    "cloudscheduler": ("cloudscheduler",),
    "compute": ("compute",),
    "firestore": ("firestore",),
    "iam": ("iam",),
    "logging": ("logging",),
    "monitoring": ("monitoring",),
    "pubsub": ("pubsub",),
    "secretmanager": ("secretmanager",),
    "serviceaccount": ("iam",),
    "storage": ("storage",),
}
_ACCOUNT = re.compile(r"serviceAccount:[a-z0-9-]+@[a-z0-9.-]+\.iam\.gserviceaccount\.com")
# Owner, editor and viewer are of all services at once; browser reads the project's name and number.
_ROLE = re.compile(r"roles/(browser|[a-z][A-Za-z0-9]*(\.[A-Za-z0-9]+)+)")
_RUNTIMES = {"python312", "python313", "python314"}
_DATA = re.compile(r"roles/(storage|datastore|secretmanager|firebase)\.")
# Buckets of what a commit, or a job, makes once more.
_MADE_AGAIN = ("bucket-sources", "bucket-web", "bucket-signatures")
_EVERYBODY = ("allUsers", "allAuthenticatedUsers")


def findings(recording: Recording) -> list[str]:
    return [f"{rule.__name__}: {one}" for rule in RULES for one in rule(recording)]


def after_its_api(recording: Recording) -> Iterator[str]:
    """An API that is still off answers 403 to the first create."""
    on = {
        str(one.inputs.get("service", "")).removesuffix(".googleapis.com"): one.urn
        for one in recording.of("projects", "Service")
    }
    for one in recording.resources:
        if not one.custom or (one.area == "projects" and one.kind == "Service"):
            continue
        needed = list(_APIS.get(one.area, ()))
        if one.area == "projects":
            needed = ["serviceusage"] if one.kind == "ServiceIdentity" else ["cloudresourcemanager"]
        if one.inputs.get("eventTrigger"):
            needed += ["eventarc", "pubsub"]
        if one.inputs.get("role") == "roles/iam.serviceAccountTokenCreator":
            needed.append("iamcredentials")
        for api in needed:
            if on.get(api) not in recording.before(one):
                yield f"{one.name} does not wait for {api}"


def is_tried_again(recording: Recording) -> Iterator[str]:
    """Grants and APIs spread for minutes; without the hook the first `up` fails half way."""
    for one in recording.resources:
        if one.custom and "first-deploy" not in one.on_error:
            yield one.name


def apis_stay_on(recording: Recording) -> Iterator[str]:
    """Destroying a stack must not switch off what others in the project use."""
    for one in recording.of("projects", "Service"):
        if one.inputs.get("disableOnDestroy") is not False:
            yield one.name
        if not re.fullmatch(r"[a-z0-9]+\.googleapis\.com", str(one.inputs.get("service"))):
            yield f"{one.name} is no service's name"


def holds_no_output_as_text(recording: Recording) -> Iterator[str]:
    """`f"{output}"` becomes an apology of Pulumi's, in the middle of a name."""
    for one in recording.resources:
        for text in recording.texts(one.inputs):
            if "Calling __str__" in text or "<pulumi." in text:
                yield f"{one.name}: {text[:60]}"


def uses_single_members_only(recording: Recording) -> Iterator[str]:
    """A Binding or Policy takes away what others granted; a function's own invoker role is
    refused, it belongs on the Cloud Run service; a key file can be lost."""
    for one in recording.resources:
        if re.search(r"(IAM|Iam)(Binding|Policy)$", one.kind) or one.kind in ("Key", "HmacKey"):
            yield f"{one.name} is a {one.kind}"
        if one.kind == "FunctionIamMember":
            yield f"{one.name}: {INVOKER} is granted on the service"


def grants_little(recording: Recording) -> Iterator[str]:
    """Roles exist, are not primitive, and data is opened resource by resource."""
    deployer = f"serviceAccount:deploy@{recording.config['gcp:project']}"
    for one in members(recording):
        role, member = str(one.inputs.get("role")), str(one.inputs["member"])
        if not _ROLE.fullmatch(role):
            yield f"{one.name}: {role} is no single-purpose role"
        whole = one.area == "projects" and "condition" not in one.inputs
        if whole and _DATA.match(role) and not member.startswith(deployer):
            yield f"{one.name}: {role} on the whole project"
        if not (
            member in _EVERYBODY
            or _ACCOUNT.fullmatch(member)
            or member.startswith("principalSet://iam.googleapis.com/projects/")
        ):
            yield f"{one.name}: {member} is no member"


def lets_everybody_in_only_where_meant(recording: Recording) -> Iterator[str]:
    """Only HTTP functions, which ask for a token themselves, and the app's files, which may be
    read and not listed; and only with the flag."""
    private = {
        one.inputs.get("name")
        for one in recording.of("cloudfunctionsv2", "Function")
        if "PLATFORM" in str(one.inputs) or one.inputs.get("eventTrigger")
    }
    private |= {one.inputs.get("name") for one in _called_by_platform(recording)}
    private |= {one.inputs.get("name") for one in recording.of("cloudrunv2", "Service")}
    for one in members(recording):
        if one.inputs["member"] not in _EVERYBODY:
            continue
        if one.kind == "BucketIAMMember" and _is_the_apps(one.inputs.get("bucket")):
            if one.inputs.get("role") != "roles/storage.legacyObjectReader":
                yield f"{one.name}: everybody is {one.inputs.get('role')}"
        elif one.kind != "ServiceIamMember" or one.inputs.get("role") != INVOKER:
            yield f"{one.name} opens {one.type}"
        elif one.inputs.get("name") in private:
            yield f"{one.name} opens a function of the platform's"
        if recording.config["snaptask:publicInvocation"] != "true":
            yield f"{one.name} although publicInvocation is off"


def _is_the_apps(bucket: object) -> bool:
    return str(bucket).endswith("-web")


def _called_by_platform(recording: Recording) -> Iterator[Resource]:
    uris = {
        one.inputs["pushConfig"]["pushEndpoint"]
        for one in recording.of("pubsub", "Subscription")
        if "pushConfig" in one.inputs
    } | {
        one.inputs["httpTarget"]["oidcToken"].get("audience")
        for one in recording.of("cloudscheduler", "Job")
        if "oidcToken" in one.inputs.get("httpTarget", {})
    }
    for one in recording.of("cloudfunctionsv2", "Function"):
        if uri_of(one) in uris:
            yield one


def keeps_buckets_private(recording: Recording) -> Iterator[str]:
    """Uniform access, enforced prevention, one region, and a bucket's name that can exist."""
    region = recording.config["gcp:region"]
    for one in recording.of("storage", "Bucket"):
        wanted = "inherited" if _is_the_apps(one.inputs.get("name")) else "enforced"
        if one.inputs.get("publicAccessPrevention") != wanted:
            yield f"{one.name}: public access prevention is not {wanted}"
        if one.inputs.get("uniformBucketLevelAccess") is not True:
            yield f"{one.name} has object ACLs"
        if str(one.inputs.get("location")).lower() != region:
            yield f"{one.name} is in {one.inputs.get('location')}"
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", str(one.inputs.get("name"))):
            yield f"{one.name}: {one.inputs.get('name')} is no bucket's name"
        for rule in one.inputs.get("lifecycleRules", ()):
            if rule.get("action", {}).get("type") == "Delete" and not rule.get("condition"):
                yield f"{one.name} deletes everything at once"
        if "*" in [origin for rule in one.inputs.get("cors", ()) for origin in rule["origins"]]:
            yield f"{one.name} takes any origin"


def runs_functions_that_can_run(recording: Recording) -> Iterator[str]:
    """Sizes, runtime and entry point within what Cloud Run functions take."""
    for one in recording.of("cloudfunctionsv2", "Function"):
        service, build = one.inputs.get("serviceConfig", {}), one.inputs.get("buildConfig", {})
        if build.get("runtime") not in _RUNTIMES:
            yield f"{one.name}: {build.get('runtime')} is no runtime"
        if build.get("entryPoint") != one.inputs.get("name"):
            yield f"{one.name} enters at {build.get('entryPoint')}"
        if one.inputs.get("location") != recording.config["gcp:region"]:
            yield f"{one.name} is elsewhere"
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,61}[a-z0-9]", str(one.inputs.get("name"))):
            yield f"{one.name} has no function's name"
        yield from _sizes(one, service)
        source = build.get("source", {}).get("storageSource", {})
        if not re.fullmatch(r"[a-z]+-[0-9a-f]{16}\.zip", str(source.get("object"))):
            yield f"{one.name}: the archive's name holds no digest"
        if not str(build.get("serviceAccount")).startswith("projects/"):
            yield f"{one.name} is built by the default account"


def _sizes(one: Resource, service: Any) -> Iterator[str]:
    cpu = float(service.get("availableCpu") or 0)
    concurrency = service.get("maxInstanceRequestConcurrency", 1)
    threads = service.get("environmentVariables", {}).get("THREADS")
    if concurrency > 1 and cpu < 1:
        yield f"{one.name}: concurrency needs a whole processor"
    if not threads or int(threads) < concurrency:
        yield f"{one.name}: {threads} threads for {concurrency} requests"
    if not 1 <= concurrency <= 1000:
        yield f"{one.name}: concurrency {concurrency}"
    # Eventarc gives up after 540 s; HTTP may take an hour.
    if (
        not 1
        <= service.get("timeoutSeconds", 60)
        <= (540 if "eventTrigger" in one.inputs else 3600)
    ):
        yield f"{one.name}: timeout {service.get('timeoutSeconds')}"
    if not re.fullmatch(r"\d+(Mi|Gi|M|G)", str(service.get("availableMemory"))):
        yield f"{one.name}: memory {service.get('availableMemory')}"
    least, most = service.get("minInstanceCount", 0), service.get("maxInstanceCount", 100)
    if not 0 <= least <= most <= 1000 or most == 0:
        yield f"{one.name}: {least} to {most} instances"
    if service.get("secretEnvironmentVariables"):
        yield f"{one.name}: a secret as environment races with its grant and never rotates"


def lets_functions_be_themselves(recording: Recording) -> Iterator[str]:
    """Each runs as its own account, signs as itself, and may open what it is told of."""
    accounts = Counter()  # type: ignore[var-annotated]
    for one in recording.of("cloudfunctionsv2", "Function"):
        service = one.inputs.get("serviceConfig", {})
        email = str(service.get("serviceAccountEmail"))
        accounts[email] += 1
        member, told = f"serviceAccount:{email}", service.get("environmentVariables", {})
        if not re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]@[a-z0-9.-]+", email):
            yield f"{one.name} runs as {email}"
        if "SIGNER_EMAIL" in told:
            path = f"projects/{recording.config['gcp:project']}/serviceAccounts/{email}"
            creator = "roles/iam.serviceAccountTokenCreator"
            if told["SIGNER_EMAIL"] != email:
                yield f"{one.name} would sign as somebody else"
            if not granted(recording, creator, member, serviceAccountId=path):
                yield f"{one.name} may not sign as itself"
        yield from _opened(recording, one, member, told)
    yield from (f"{email} runs {count} functions" for email, count in accounts.items() if count > 1)


def _opened(recording: Recording, one: Resource, member: str, told: Any) -> Iterator[str]:
    for name, value in told.items():
        if not value and name not in ("ALLOWED_ORIGINS", "SMTP_USER"):
            yield f"{one.name}: {name} is empty"
        if name.endswith("_BUCKET"):
            if not any(
                g.inputs.get("bucket") == value and g.inputs["member"] == member
                for g in recording.of("storage", "BucketIAMMember")
            ):
                yield f"{one.name} may do nothing with {value}"
        elif name.endswith("_SECRET"):
            secret = value.rpartition("/")[2]
            # Who rotates a secret need not read it.
            roles = ("secretAccessor", "secretVersionManager")
            held = [f"roles/secretmanager.{role}" for role in roles]
            if not any(granted(recording, role, member, secretId=secret) for role in held):
                yield f"{one.name} may not read {secret}"
        elif name.endswith("_TOPIC"):
            topic = value.rpartition("/")[2]
            if not granted(recording, PUBLISHER, member, topic=topic):
                yield f"{one.name} may not publish to {value}"
    if not granted(recording, "roles/datastore.user", member):
        yield f"{one.name} may not read the database"
    if "PLATFORM_CALLER" in told or told.get("ENVIRONMENT") != "production":
        yield f"{one.name} believes that it runs at a desk"


def keeps_data(recording: Recording) -> Iterator[str]:
    """What production may not lose, and what a trial must be able to leave."""
    production = recording.config["snaptask:production"] == "true"
    for one in recording.of("firestore", "Database"):
        enabled = one.inputs.get("deleteProtectionState") == "DELETE_PROTECTION_ENABLED"
        if one.inputs.get("pointInTimeRecoveryEnablement") != "POINT_IN_TIME_RECOVERY_ENABLED":
            yield f"{one.name}: no way back to a moment"
        if enabled != production or (
            not production and one.inputs.get("deletionPolicy") != "DELETE"
        ):
            yield f"{one.name}: protection does not fit the stack"
        if one.inputs.get("type") != "FIRESTORE_NATIVE" or one.inputs.get("name") != "(default)":
            yield f"{one.name} is not the database that the functions open"
    if not recording.of("firestore", "BackupSchedule"):
        yield "no backups"
    for one in recording.of("firestore", "BackupSchedule"):
        days = str(one.inputs.get("retention"))
        if not DURATION.fullmatch(days) or not 86_400 <= float(days[:-1]) <= 98 * 86_400:
            yield f"{one.name}: kept for {days}"
    for one in recording.resources:
        lasting = one.custom and (
            one.kind in ("Database", "Secret", "Topic")
            or (one.kind == "Bucket" and one.name not in _MADE_AGAIN)
        )
        if lasting and one.name != "topic-budget" and one.protect != production:
            yield f"{one.name}: protect is {one.protect}"
    for one in recording.of("secretmanager", "SecretVersion"):
        if not one.inputs.get("secretData") and not one.inputs.get("secretDataWo"):
            yield f"{one.name} holds nothing"


def stands_at_the_edge(recording: Recording) -> Iterator[str]:
    """With a load balancer nobody walks round it; its rules have each their own priority."""
    edge = bool(recording.config.get("snaptask:domain"))
    for one in recording.of("cloudfunctionsv2", "Function"):
        wanted = "ALLOW_INTERNAL_AND_GCLB" if edge else "ALLOW_ALL"
        if one.inputs.get("serviceConfig", {}).get("ingressSettings") != wanted:
            yield f"{one.name}: ingress"
    for one in recording.of("compute", "SecurityPolicy"):
        actions = {
            rule.get("rateLimitOptions", {}).get("exceedAction", "deny(429)")
            for rule in one.inputs.get("rules", ())
        }
        if actions - {f"deny({status})" for status in (403, 404, 429, 502)}:
            yield f"{one.name}: {sorted(actions)}"
        priorities = [rule.get("priority") for rule in one.inputs.get("rules", ())]
        if len(set(priorities)) < len(priorities):
            yield f"{one.name}: two rules of one priority"
        if 2_147_483_647 not in priorities:
            yield f"{one.name}: no default rule"
    for one in recording.of("compute", "BackendService"):
        if not one.inputs.get("securityPolicy"):
            yield f"{one.name}: nothing limits it"
    for one in recording.of("compute", "RegionNetworkEndpointGroup"):
        if (
            one.inputs.get("networkEndpointType") != "SERVERLESS"
            or one.inputs.get("region") != recording.config["gcp:region"]
        ):
            yield f"{one.name} reaches no function"
    schemes = {
        one.inputs.get("loadBalancingScheme")
        for kind in ("BackendService", "GlobalForwardingRule")
        for one in recording.of("compute", kind)
    }
    if len(schemes) > 1:
        yield f"two kinds of load balancer: {schemes}"
    host = (
        recording.config.get("snaptask:domain")
        or f"{recording.config['gcp:region']}-{recording.config['gcp:project']}.cloudfunctions.net"
    )
    for one in recording.of("monitoring", "UptimeCheckConfig"):
        if one.inputs.get("monitoredResource", {}).get("labels", {}).get("host") != host:
            yield f"{one.name} asks where nobody answers"


def watches(recording: Recording) -> Iterator[str]:
    """Alerts and charts stand on metrics that exist, and wait for them."""
    own = {str(one.inputs.get("name")): one.urn for one in recording.of("logging", "Metric")}
    for one in recording.resources:
        if one.area != "monitoring":
            continue
        for name in {
            found
            for text in recording.texts(one.inputs)
            for found in re.findall(r"logging\.googleapis\.com/user/(\w+)", text)
        }:
            if name not in own:
                yield f"{one.name}: nothing makes {name}"
            elif own[name] not in recording.before(one):
                yield f"{one.name} does not wait for {name}"
    for one in recording.of("monitoring", "AlertPolicy"):
        for condition in one.inputs.get("conditions", ()):
            threshold = condition.get("conditionThreshold", {})
            for aggregation in threshold.get("aggregations", ()):
                period = str(aggregation.get("alignmentPeriod"))
                if not DURATION.fullmatch(period) or float(period[:-1]) < 60:
                    yield f"{one.name}: period {period}"
            if not DURATION.fullmatch(str(threshold.get("duration", "0s"))):
                yield f"{one.name}: duration {threshold.get('duration')}"
    for one in recording.of("monitoring", "Slo"):
        if (
            not 0 < one.inputs.get("goal", 0) <= 0.9999
            or not 1 <= one.inputs.get("rollingPeriodDays", 28) <= 30
        ):
            yield f"{one.name}: goal {one.inputs.get('goal')}"
    for one in recording.of("monitoring", "UptimeCheckConfig"):
        if one.inputs.get("period") not in ("60s", "300s", "600s", "900s"):
            yield f"{one.name}: period {one.inputs.get('period')}"


def tells_what_to_do(recording: Recording) -> Iterator[str]:
    """Whoever is woken reads it in the mail; and a burn rate looks back over a day at most."""
    for one in recording.of("monitoring", "AlertPolicy"):
        if not one.inputs.get("documentation", {}).get("content"):
            yield f"{one.name} does not say what to do"
        for text in recording.texts(one.inputs):
            for seconds in re.findall(r'select_slo_burn_rate\(".+", "(\d+)s"\)', text):
                if int(seconds) > 86_400:
                    yield f"{one.name} looks back over {seconds} s"


def asks_agents_of_services_that_are_on(recording: Recording) -> Iterator[str]:
    """Google makes a service's agent when the service is switched on."""
    on = {str(one.inputs.get("service")): one.urn for one in recording.of("projects", "Service")}
    for one in members(recording):
        agent = str(one.inputs["member"]).endswith("@gs-project-accounts.iam.gserviceaccount.com")
        if agent and on.get("storage.googleapis.com") not in recording.before(one):
            yield f"{one.name} asks for storage's agent too early"


def admits_one_repository(recording: Recording) -> Iterator[str]:
    """Without its condition every repository on GitHub could deploy, or every branch of ours; and
    a pull request's own program looks, and changes nothing."""
    production = recording.config["snaptask:production"] == "true"
    let_in = {"deploy": "prod"} if production else {"deploy": "dev", "preview": "preview"}
    deploys = f'assertion.environment == "{let_in["deploy"]}" && assertion.ref == "refs/heads/main"'
    wanted = f'assertion.repository == "{recording.config.get("snaptask:repository")}" && '
    wanted += f"({deploys})" if production else f'({deploys} || assertion.environment == "preview")'
    for one in recording.of("iam", "WorkloadIdentityPoolProvider"):
        if one.inputs.get("attributeCondition") != wanted:
            yield one.name
        if one.inputs["attributeMapping"].get("attribute.environment") != "assertion.environment":
            yield f"{one.name}: mapping"
        if (
            one.inputs.get("oidc", {}).get("issuerUri")
            != "https://token.actions.githubusercontent.com"
        ):
            yield f"{one.name}: issuer"
    for one in members(recording):
        member = str(one.inputs["member"])
        if one.inputs.get("role") == "roles/iam.workloadIdentityUser":
            account = str(one.inputs["serviceAccountId"]).rpartition("/")[2].partition("@")[0]
            if member.rpartition("/attribute.environment/")[2] != let_in.get(account):
                yield f"{one.name}: {member} is {account}"
        preview = member.startswith(f"serviceAccount:preview@{recording.config['gcp:project']}")
        if preview and one.inputs.get("role") != "roles/browser":
            yield f"{one.name}: a preview needs no {one.inputs.get('role')}"


def names_what_can_exist(recording: Recording) -> Iterator[str]:
    """Names within Google's patterns, and each only once."""
    for one in recording.of("serviceaccount", "Account"):
        if not re.fullmatch(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", str(one.inputs.get("accountId"))):
            yield f"{one.name}: {one.inputs.get('accountId')} is no account's name"
    for kind in ("Topic", "Subscription"):
        for one in recording.of("pubsub", kind):
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9._~+%-]{2,254}", str(one.inputs.get("name"))):
                yield f"{one.name}: {one.inputs.get('name')} is no name"
    seen = Counter(
        (one.type, str(one.inputs["name"]))
        for one in recording.resources
        if one.inputs.get("name") and one.custom and "Member" not in one.kind
    )
    yield from (f"{kind} {name} twice" for (kind, name), count in seen.items() if count > 1)
    fields = Counter(
        (one.inputs.get("collection"), str(one.inputs.get("fields")))
        for one in recording.of("firestore", "Index")
    )
    yield from (f"index {one} twice" for one, count in fields.items() if count > 1)
    for one in recording.of("firestore", "Index"):
        for field in one.inputs.get("fields", ()):
            if ("order" in field) == ("arrayConfig" in field):
                yield f"{one.name}: {field}"


RULES: tuple[Rule, ...] = (
    after_its_api,
    is_tried_again,
    apis_stay_on,
    holds_no_output_as_text,
    uses_single_members_only,
    grants_little,
    lets_everybody_in_only_where_meant,
    keeps_buckets_private,
    runs_functions_that_can_run,
    lets_functions_be_themselves,
    feeds_triggers,
    delivers_messages,
    keeps_time,
    keeps_data,
    stands_at_the_edge,
    serves_the_app,
    scans_by_a_service_of_its_own,
    watches,
    tells_what_to_do,
    asks_agents_of_services_that_are_on,
    admits_one_repository,
    names_what_can_exist,
)
