"""Topics, our own push subscriptions, and the dead letters that wait until somebody looks."""

from __future__ import annotations

import pulumi
from pulumi_gcp import pubsub

from infra.accounts import Accounts
from infra.apis import APIs
from infra.cloud_functions import Functions
from infra.declaration import DECLARATION, Subscription
from infra.grants import grants_on
from infra.settings import Settings

# Seven days, the longest that an unacknowledged message is kept for nothing extra.
_KEPT = "604800s"


class Topics(pulumi.ComponentResource):
    def __init__(self, settings: Settings, apis: APIs, accounts: Accounts) -> None:
        super().__init__("snaptask:infra:Topics", "topics")
        self.of = {
            one.name: pubsub.Topic(
                f"topic-{one.name}",
                name=one.name,
                opts=apis.options(self, "pubsub", protect=settings.production),
            )
            for one in DECLARATION.topics
        }
        self.grants = {
            (name, grant.who): pubsub.TopicIAMMember(
                f"topic-{name}-{grant.who.replace(':', '-')}",
                topic=topic.name,
                role=grant.role,
                member=accounts.member(grant.who),
                opts=apis.options(self, "pubsub"),
            )
            for name, topic in self.of.items()
            for grant in grants_on("topic", name)
        }
        self.register_outputs({})


class Subscriptions(pulumi.ComponentResource):
    def __init__(self, apis: APIs, accounts: Accounts, topics: Topics, functions: Functions):
        super().__init__("snaptask:infra:Subscriptions", "subscriptions")
        self._apis = apis
        self._accounts = accounts
        self._topics = topics
        self._functions = functions
        for declared in DECLARATION.subscriptions:
            self._push(declared)
        self.register_outputs({})

    def _push(self, declared: Subscription) -> None:
        uri = self._functions.uri(declared.function)
        subscription = pubsub.Subscription(
            f"subscription-{declared.name}",
            name=declared.name,
            topic=self._topics.of[declared.topic].name,
            # It cannot be changed afterwards: another filter is another subscription.
            filter=declared.filter or None,
            ack_deadline_seconds=declared.ack_deadline,
            message_retention_duration=_KEPT,
            # Otherwise it ends after 31 quiet days, and the first dead letter with it.
            expiration_policy={"ttl": ""},
            push_config=pubsub.SubscriptionPushConfigArgs(
                push_endpoint=uri,
                oidc_token=pubsub.SubscriptionPushConfigOidcTokenArgs(
                    service_account_email=self._accounts.of["pusher"].email, audience=uri
                ),
            ),
            retry_policy=pubsub.SubscriptionRetryPolicyArgs(
                minimum_backoff=f"{declared.min_backoff}s",
                maximum_backoff=f"{declared.max_backoff}s",
            ),
            dead_letter_policy=self._dead_letters(declared),
            opts=self._apis.options(self, "pubsub", after=self._before(declared)),
        )
        for grant in grants_on("subscription", declared.name):
            pubsub.SubscriptionIAMMember(
                f"subscription-{declared.name}-{grant.who.replace(':', '-')}",
                subscription=subscription.name,
                role=grant.role,
                member=self._accounts.member(grant.who),
                opts=self._apis.options(self, "pubsub"),
            )

    def _dead_letters(
        self, declared: Subscription
    ) -> pubsub.SubscriptionDeadLetterPolicyArgs | None:
        """None for the one that takes in the dead letters themselves and never gives up."""
        if declared.dead_letter_topic is None:
            return None
        return pubsub.SubscriptionDeadLetterPolicyArgs(
            # The full id: a bare name is taken and refused only when a letter dies.
            dead_letter_topic=self._topics.of[declared.dead_letter_topic].id,
            max_delivery_attempts=declared.max_attempts,
        )

    def _before(self, declared: Subscription) -> list[pulumi.Resource]:
        found: list[pulumi.Resource] = [self._functions.invokers[declared.function, "pusher"]]
        if declared.dead_letter_topic:
            found.append(self._topics.grants[declared.dead_letter_topic, "agent:pubsub"])
        return found
