"""Private buckets: those of the declaration, and one for the functions' sources."""

from __future__ import annotations

import pulumi
from pulumi_gcp import storage

from infra.accounts import Accounts
from infra.apis import APIs
from infra.declaration import DECLARATION, Bucket, bucket_name
from infra.grants import grants_on
from infra.settings import Settings

# Days. A replaced or deleted medium can be had back for a month, as the trash promises.
_NONCURRENT = 30


class Buckets(pulumi.ComponentResource):
    def __init__(self, settings: Settings, apis: APIs, accounts: Accounts) -> None:
        super().__init__("snaptask:infra:Buckets", "buckets")
        self._settings = settings
        self._apis = apis
        self.of = {one.name: self._bucket(one) for one in DECLARATION.buckets}
        self.grants = [
            storage.BucketIAMMember(
                f"bucket-{name}-{grant.who}",
                bucket=bucket.name,
                role=grant.role,
                member=accounts.member(grant.who),
                opts=apis.options(self, "storage"),
            )
            for name, bucket in self.of.items()
            for grant in grants_on("bucket", name)
            if not grant.setting or grant.who in accounts.of
        ]
        self.sources = storage.Bucket(
            "bucket-sources",
            name=bucket_name(settings.project, "sources"),
            location=settings.region,
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            soft_delete_policy={"retention_duration_seconds": 0},
            # Archives can be made again from the commit, whatever the stack.
            force_destroy=True,
            opts=apis.options(self, "storage"),
        )
        self.register_outputs({})

    def _bucket(self, declared: Bucket) -> storage.Bucket:
        production = self._settings.production
        return storage.Bucket(
            f"bucket-{declared.name}",
            name=bucket_name(self._settings.project, declared.name),
            # The trigger's region, hence the function's: a bucket elsewhere raises no event there.
            location=self._settings.region,
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            versioning={"enabled": declared.versioning},
            soft_delete_policy={"retention_duration_seconds": declared.soft_delete},
            cors=[
                storage.BucketCorArgs(
                    origins=list(self._settings.all_origins),
                    methods=list(declared.browser_methods),
                    response_headers=list(DECLARATION.cors_headers),
                    max_age_seconds=DECLARATION.cors_max_age,
                )
            ],
            lifecycle_rules=_lifecycle(declared),
            force_destroy=not production,
            opts=self._apis.options(self, "storage", protect=production),
        )


def _lifecycle(declared: Bucket) -> list[storage.BucketLifecycleRuleArgs]:
    conditions = []
    if declared.delete_after_days is not None:
        conditions.append(storage.BucketLifecycleRuleConditionArgs(age=declared.delete_after_days))
    if declared.versioning:
        conditions.append(
            storage.BucketLifecycleRuleConditionArgs(days_since_noncurrent_time=_NONCURRENT)
        )
    return [
        storage.BucketLifecycleRuleArgs(
            action=storage.BucketLifecycleRuleActionArgs(type="Delete"), condition=condition
        )
        for condition in conditions
    ]
