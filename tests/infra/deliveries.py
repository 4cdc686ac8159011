"""Layer (c), second part: triggers, messages and schedules, with the grants they stand on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tests.infra.recordings import Recording, Resource, granted, members, preceded, uri_of

DURATION = re.compile(r"\d+(\.\d{1,9})?s")
PUBLISHER, SUBSCRIBER = "roles/pubsub.publisher", "roles/pubsub.subscriber"
INVOKER = "roles/run.invoker"


def feeds_triggers(recording: Recording) -> Iterator[str]:
    """Retry on, same region as the bucket, the agents' grants before and the invoker after."""
    agents = {
        str(one.inputs.get("service")).partition(".")[0]
        for one in recording.of("projects", "ServiceIdentity")
    }
    for one in recording.of("cloudfunctionsv2", "Function"):
        trigger = one.inputs.get("eventTrigger")
        if not trigger:
            continue
        if "eventarc" not in agents:
            yield f"{one.name}: Eventarc's agent may not exist"
        if trigger.get("retryPolicy") != "RETRY_POLICY_RETRY":
            yield f"{one.name} forgets an event that fails once"
        if trigger.get("eventType") != "google.cloud.storage.object.v1.finalized":
            yield f"{one.name} waits for {trigger.get('eventType')}"
        filters = {f.get("attribute"): f.get("value") for f in trigger.get("eventFilters", ())}
        bucket = next(
            (
                b
                for b in recording.of("storage", "Bucket")
                if b.inputs.get("name") == filters.get("bucket")
            ),
            None,
        )
        if bucket is None:
            yield f"{one.name} listens to no bucket of ours"
        elif str(bucket.inputs.get("location")).lower() != trigger.get("triggerRegion"):
            yield f"{one.name}: trigger and bucket are in different regions"
        caller = f"serviceAccount:{trigger.get('serviceAccountEmail')}"
        yield from preceded(recording, one, "roles/eventarc.eventReceiver", caller)
        for role, agent in (
            ("roles/eventarc.serviceAgent", "@gcp-sa-eventarc."),
            (PUBLISHER, "@gs-project-accounts."),
        ):
            yield from _agent_preceded(recording, one, role, agent)
        yield from _invoked(recording, one, caller)


def _agent_preceded(recording: Recording, one: Resource, role: str, agent: str) -> Iterator[str]:
    found = [
        g
        for g in members(recording)
        if g.inputs.get("role") == role
        and agent in str(g.inputs["member"])
        and g.area == "projects"
    ]
    if not any(g.urn in recording.before(one) for g in found):
        yield f"{one.name}: {agent} lacks {role} when it is made"


def _invoked(recording: Recording, function: Resource, caller: str) -> Iterator[str]:
    name = str(function.inputs.get("name"))
    found = granted(recording, INVOKER, caller, name=name)
    if not found:
        yield f"{function.name}: {caller} may not call it"
    for one in found:
        if function.urn not in recording.before(one):
            yield f"{one.name} is granted before its service exists"
        if one.inputs.get("location") != function.inputs.get("location"):
            yield f"{one.name} is granted elsewhere"


def delivers_messages(recording: Recording) -> Iterator[str]:
    """Push with OIDC, bounded retries, and a dead letter that the agent may write."""
    dead = _dead_topics(recording)
    for one in recording.of("pubsub", "Subscription"):
        if one.inputs.get("expirationPolicy") != {"ttl": ""}:
            yield f"{one.name} ends after 31 quiet days"
        if not DURATION.fullmatch(str(one.inputs.get("messageRetentionDuration", "604800s"))):
            yield f"{one.name}: retention"
        if "pushConfig" not in one.inputs:
            if one.inputs.get("topic") not in dead:
                yield f"{one.name} is pulled by nobody"
            continue
        yield from _push(recording, one)
        yield from _dead_letters(recording, one)
    for topic in dead - {""}:
        kept = [s for s in recording.of("pubsub", "Subscription") if s.inputs.get("topic") == topic]
        if not kept:
            yield f"{topic}: nobody keeps the dead letters"


def _dead_topics(recording: Recording) -> set[str]:
    return {
        one.inputs["deadLetterPolicy"].get("deadLetterTopic", "").rpartition("/")[2]
        for one in recording.of("pubsub", "Subscription")
        if "deadLetterPolicy" in one.inputs
    }


def _push(recording: Recording, one: Resource) -> Iterator[str]:
    push, retry = one.inputs["pushConfig"], one.inputs.get("retryPolicy")
    token = push.get("oidcToken", {})
    by_uri = {uri_of(f): f for f in recording.of("cloudfunctionsv2", "Function")}
    function = by_uri.get(push.get("pushEndpoint"))
    if function is None:
        yield f"{one.name} pushes to {push.get('pushEndpoint')}"
        return
    if token.get("audience") != push["pushEndpoint"]:
        yield f"{one.name}: the token is for somebody else"
    caller = f"serviceAccount:{token.get('serviceAccountEmail')}"
    name = str(function.inputs.get("name"))
    yield from preceded(recording, one, INVOKER, caller, name=name)
    yield from _invoked(recording, function, caller)
    if not retry:
        yield f"{one.name} retries at once, for ever"
        return
    for key in ("minimumBackoff", "maximumBackoff"):
        text = str(retry.get(key))
        if not DURATION.fullmatch(text) or not 0 <= float(text[:-1]) <= 600:
            yield f"{one.name}: {key} {text}"
    if not 10 <= one.inputs.get("ackDeadlineSeconds", 10) <= 600:
        yield f"{one.name}: ack deadline {one.inputs.get('ackDeadlineSeconds')}"
    elif one.inputs.get("ackDeadlineSeconds", 10) < function.inputs["serviceConfig"].get(
        "timeoutSeconds", 60
    ):
        yield f"{one.name} is delivered again while the function still works"


def _dead_letters(recording: Recording, one: Resource) -> Iterator[str]:
    policy = one.inputs.get("deadLetterPolicy")
    if not policy:
        # The one that takes in the dead letters has nowhere to put its own.
        if one.inputs.get("topic") not in _dead_topics(recording):
            yield f"{one.name} has no dead letter"
        return
    topic = str(policy.get("deadLetterTopic"))
    if not re.fullmatch(r"projects/[^/]+/topics/[^/]+", topic):
        yield f"{one.name}: {topic} is no full topic id"
    if not 5 <= policy.get("maxDeliveryAttempts", 5) <= 100:
        yield f"{one.name}: {policy.get('maxDeliveryAttempts')} attempts"
    if topic.rpartition("/")[2] == one.inputs.get("topic"):
        yield f"{one.name}: its dead letters come round again"
    agent = "@gcp-sa-pubsub.iam.gserviceaccount.com"
    writers = [
        g
        for g in recording.of("pubsub", "TopicIAMMember")
        if g.inputs.get("role") == PUBLISHER
        and agent in str(g.inputs["member"])
        and g.inputs.get("topic") == topic.rpartition("/")[2]
    ]
    if not any(g.urn in recording.before(one) for g in writers):
        yield f"{one.name}: the agent may not write its dead letters"
    readers = [
        g
        for g in recording.of("pubsub", "SubscriptionIAMMember")
        if g.inputs.get("role") == SUBSCRIBER
        and agent in str(g.inputs["member"])
        and g.inputs.get("subscription") == one.inputs.get("name")
    ]
    if not readers:
        yield f"{one.name}: the agent may not acknowledge its dead letters"


def keeps_time(recording: Recording) -> Iterator[str]:
    """Schedules: five fields, a deadline that Scheduler takes, the function's own audience."""
    functions = {uri_of(f): f for f in recording.of("cloudfunctionsv2", "Function")}
    for one in recording.of("cloudscheduler", "Job"):
        target = one.inputs.get("httpTarget", {})
        token = target.get("oidcToken", {})
        function = functions.get(token.get("audience"))
        if not cron(str(one.inputs.get("schedule"))):
            yield f"{one.name}: {one.inputs.get('schedule')} is no schedule"
        deadline = str(one.inputs.get("attemptDeadline"))
        if not DURATION.fullmatch(deadline) or not 15 <= float(deadline[:-1]) <= 1800:
            yield f"{one.name}: deadline {deadline}"
        if one.inputs.get("region") != recording.config["gcp:region"]:
            yield f"{one.name} is elsewhere"
        if target.get("httpMethod") != "POST":
            yield f"{one.name} sends {target.get('httpMethod')}"
        if "oauthToken" in target:
            # For an API of Google's; tests/infra/scanning.py says for which.
            continue
        if function is None or not str(target.get("uri")).startswith(f"{token['audience']}/"):
            yield f"{one.name}: its token is not for what it calls"
            continue
        caller = f"serviceAccount:{token.get('serviceAccountEmail')}"
        yield from preceded(recording, one, INVOKER, caller, name=str(function.inputs.get("name")))


_FIELDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def cron(text: str) -> bool:
    parts = text.split()
    return len(parts) == 5 and all(map(_cron_field, parts, _FIELDS))


def _cron_field(text: str, bounds: tuple[int, int]) -> bool:
    for part in text.split(","):
        match = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
        if not match:
            return False
        numbers = [int(one) for one in (match[1], match[2]) if one]
        if not all(bounds[0] <= one <= bounds[1] for one in numbers) or match[3] == "0":
            return False
    return True
