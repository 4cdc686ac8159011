"""Layer (c) for the scan service: who reaches it, what it may read, and that it can work at all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from shared.settings import ScannerSettings, SettingsError, SignatureSettings
from tests.infra.recordings import Recording, Resource, granted, members, preceded, uri_of

_INVOKER = "roles/run.invoker"
_READER, _KEEPER = "roles/storage.objectViewer", "roles/storage.objectUser"
# GiB: the least that ClamAV's documentation recommends ("ClamAV in Docker").
_LEAST_MEMORY = 3
# Seconds: whoever asks waits 180; Cloud Run gives a start 240.
_ASKED, _LONGEST_START = 180, 240


def scans_by_a_service_of_its_own(recording: Recording) -> Iterator[str]:
    """One private service, from an image that is named, and thumbnails alone asks it."""
    services = recording.of("cloudrunv2", "Service")
    jobs = recording.of("cloudrunv2", "Job")
    image = recording.config.get("snaptask:scannerImage")
    if not image:
        yield from (f"{one.name} without an image" for one in (*services, *jobs))
        return
    if len(services) != 1 or len(jobs) != 1:
        yield f"{len(services)} services and {len(jobs)} jobs"
        return
    for one in (services[0], jobs[0]):
        yield from _runs(recording, one, image)
    yield from _serves(services[0])
    yield from _is_asked(recording, services[0])
    yield from _reads(recording, services[0], jobs[0])
    yield from _is_kept(recording, services[0], jobs[0])


def account(one: Resource) -> str:
    template = one.inputs["template"]
    return f"serviceAccount:{template.get('template', template).get('serviceAccount')}"


def _container(one: Resource) -> Mapping[str, Any]:
    template = one.inputs["template"]
    (container,) = template.get("template", template)["containers"]
    return dict(container)


def _told(one: Resource) -> dict[str, str]:
    return {env["name"]: env.get("value", "") for env in _container(one).get("envs", ())}


def _runs(recording: Recording, one: Resource, image: str) -> Iterator[str]:
    project = recording.config["gcp:project"]
    container = _container(one)
    limits = container.get("resources", {}).get("limits", {})
    memory = re.fullmatch(r"(\d+)Gi", str(limits.get("memory")))
    if not memory or int(memory[1]) < _LEAST_MEMORY:
        yield f"{one.name}: memory {limits.get('memory')}"
    elif int(memory[1]) > 4 and limits.get("cpu") == "1":
        yield f"{one.name}: one processor takes 4 GiB at most"
    if limits.get("cpu") not in ("1", "2", "4"):
        yield f"{one.name}: {limits.get('cpu')} processors"
    if container.get("image") != image:
        yield f"{one.name} runs {container.get('image')}"
    if one.inputs.get("location") != recording.config["gcp:region"]:
        yield f"{one.name} is elsewhere"
    # It holds nothing, and destroying a stack would stop at it.
    if one.inputs.get("deletionProtection") is not False:
        yield f"{one.name} cannot be destroyed"
    if not re.fullmatch(
        rf"serviceAccount:[a-z]+@{project}\.iam\.gserviceaccount\.com", account(one)
    ):
        yield f"{one.name} runs as {account(one)}"
    try:
        SignatureSettings.read(_told(one))
        ScannerSettings.read({**_told(one), "CLAMD": "127.0.0.1:3310"})
    except SettingsError as error:
        yield f"{one.name}: {error}"
    if _told(one).get("ENVIRONMENT") != "production":
        yield f"{one.name} believes that it runs at a desk"


def _serves(one: Resource) -> Iterator[str]:
    template, container = one.inputs["template"], _container(one)
    at_once = template.get("maxInstanceRequestConcurrency", 80)
    if int(_told(one).get("THREADS", 0)) < at_once + 2:
        yield f"{one.name}: no thread answers a probe while {at_once} requests are under way"
    scaling = template.get("scaling", {})
    if at_once * scaling.get("maxInstanceCount", 100) < 20:
        yield f"{one.name} refuses some of the twenty instances of thumbnails"
    if not float(str(template.get("timeout", "300s")).removesuffix("s")) > _ASKED:
        yield f"{one.name} is cut off while somebody waits"
    if container.get("resources", {}).get("cpuIdle") is not False:
        yield f"{one.name} has no processor to renew its signatures"
    for kind in ("startupProbe", "livenessProbe"):
        if container.get(kind, {}).get("httpGet", {}).get("path") != "/health":
            yield f"{one.name}: {kind}"
    start = container.get("startupProbe", {})
    patience = start.get("periodSeconds", 10) * start.get("failureThreshold", 3)
    # Signatures are fetched and loaded in it, which takes half a minute on a good day.
    if not 120 <= patience <= _LONGEST_START:
        yield f"{one.name} has {patience} s to start"


def _is_asked(recording: Recording, one: Resource) -> Iterator[str]:
    if one.inputs.get("ingress", "INGRESS_TRAFFIC_ALL") != "INGRESS_TRAFFIC_ALL":
        yield f"{one.name}: a function without a VPC comes from outside"
    if one.inputs.get("invokerIamDisabled"):
        yield f"{one.name} lets everybody in"
    project, name = recording.config["gcp:project"], str(one.inputs.get("name"))
    thumbnails = f"serviceAccount:fn-thumbnails@{project}.iam.gserviceaccount.com"
    callers = {
        str(grant.inputs["member"])
        for grant in members(recording)
        if (grant.area, grant.kind) == ("cloudrunv2", "ServiceIamMember")
        and grant.inputs.get("name") == name
    }
    yield from (f"{caller} may call {one.name}" for caller in sorted(callers - {thumbnails}))
    for function in recording.of("cloudfunctionsv2", "Function"):
        told = function.inputs.get("serviceConfig", {}).get("environmentVariables", {})
        if function.inputs.get("name") != "thumbnails":
            continue
        if told.get("SCANNER") != uri_of(one):
            yield f"{function.name} asks {told.get('SCANNER')}"
        yield from preceded(recording, function, _INVOKER, thumbnails, name=name)


def _reads(recording: Recording, service: Resource, job: Resource) -> Iterator[str]:
    """Two accounts, which hold exactly what they need and run nothing else."""
    project = recording.config["gcp:project"]
    inbox, mirror = f"{project}-inbox", f"{project}-signatures"
    if account(service) == account(job):
        yield "the service may write to its own mirror"
    wanted = {
        account(service): {(_READER, inbox), (_READER, mirror)},
        account(job): {(_KEEPER, mirror)},
    }
    for member, grants in wanted.items():
        held = {
            (str(one.inputs.get("role")), str(one.inputs.get("bucket", one.type)))
            for one in members(recording)
            if one.inputs["member"] == member
        }
        yield from (f"{member} holds {one}" for one in sorted(held - grants))
    for user in (service, job):
        for role, bucket in wanted[account(user)]:
            yield from preceded(recording, user, role, account(user), bucket=bucket)
        buckets = {_told(user).get("INBOX_BUCKET"), _told(user).get("SIGNATURES_BUCKET")}
        if buckets != {inbox, mirror}:
            yield f"{user.name} is told of {buckets}"
    writers = {
        str(one.inputs["member"])
        for one in recording.of("storage", "BucketIAMMember")
        if one.inputs.get("bucket") == mirror and one.inputs.get("role") != _READER
    }
    yield from (f"{one} may write to the mirror" for one in sorted(writers - {account(job)}))
    running = {
        f"serviceAccount:{one.inputs.get('serviceConfig', {}).get('serviceAccountEmail')}"
        for one in recording.of("cloudfunctionsv2", "Function")
    }
    yield from (f"{one} runs a function too" for one in sorted(running & wanted.keys()))


def _is_kept(recording: Recording, service: Resource, job: Resource) -> Iterator[str]:
    """The mirror is filled before the service starts, and again by a schedule."""
    if not job.inputs.get("runExecutionToken") or job.urn not in recording.before(service):
        yield f"{service.name} starts from an empty mirror"
    container = _container(job)
    if [*container.get("commands", ()), *container.get("args", ())] != [
        "python",
        "-m",
        "services.scanner.mirror",
    ]:
        yield f"{job.name} runs {container.get('commands')} {container.get('args')}"
    place = f"projects/{recording.config['gcp:project']}/locations/{recording.config['gcp:region']}"
    uri = f"https://run.googleapis.com/v2/{place}/jobs/{job.inputs.get('name')}:run"
    schedules = [
        one
        for one in recording.of("cloudscheduler", "Job")
        if "oauthToken" in one.inputs.get("httpTarget", {})
    ]
    if [one.inputs["httpTarget"].get("uri") for one in schedules] != [uri]:
        yield f"nobody runs {job.name}"
    for one in schedules:
        caller = f"serviceAccount:{one.inputs['httpTarget']['oauthToken']['serviceAccountEmail']}"
        yield from preceded(recording, one, _INVOKER, caller, name=str(job.inputs.get("name")))
        if not granted(recording, _INVOKER, caller, name=str(job.inputs.get("name"))):
            yield f"{caller} may not run {job.name}"
        # ClamAV asks for one or two looks a day.
        if not re.fullmatch(r"\d+ \d+(,\d+)? \* \* \*", str(one.inputs.get("schedule"))):
            yield f"{one.name} asks ClamAV too often"
