"""Cloud Scheduler: says to a function that it is time."""

from __future__ import annotations

import pulumi
from pulumi_gcp import cloudscheduler

from infra.accounts import Accounts
from infra.apis import APIs
from infra.cloud_functions import Functions
from infra.declaration import DECLARATION, Schedule
from infra.settings import Settings

# Seconds that Scheduler takes: "Cloud Scheduler: attemptDeadline" of an HTTP target.
_SHORTEST, _LONGEST = 15, 1800


class Schedules(pulumi.ComponentResource):
    def __init__(
        self, settings: Settings, apis: APIs, accounts: Accounts, functions: Functions
    ) -> None:
        super().__init__("snaptask:infra:Schedules", "schedules")
        for declared in DECLARATION.schedules:
            uri = functions.uri(declared.function)
            cloudscheduler.Job(
                f"schedule-{declared.name}",
                name=declared.name,
                region=settings.region,
                schedule=declared.cron,
                time_zone="Etc/UTC",
                attempt_deadline=_deadline(declared),
                # The next minute comes anyway; one more try bridges an instance that went away.
                retry_config={"retry_count": 1},
                http_target=cloudscheduler.JobHttpTargetArgs(
                    http_method="POST",
                    uri=pulumi.Output.concat(uri, declared.path),
                    oidc_token=cloudscheduler.JobHttpTargetOidcTokenArgs(
                        service_account_email=accounts.of["scheduler"].email, audience=uri
                    ),
                ),
                opts=apis.options(
                    self,
                    "cloudscheduler",
                    after=[functions.invokers[declared.function, "scheduler"]],
                ),
            )
        self.register_outputs({})


def _deadline(declared: Schedule) -> str:
    timeout = DECLARATION.function_by_name[declared.function].timeout
    return f"{max(_SHORTEST, min(_LONGEST, timeout))}s"
