"""The APIs that must be on before anything else, and what every resource has in common.

A first deployment races with APIs and grants that take minutes to spread, so each resource stands
on the API it needs and a failed create for one of the known reasons is tried again. Resource
Manager, Service Usage and IAM must be on before the first `pulumi up`: docs/deploy.md.
"""

from __future__ import annotations

import time

import pulumi
from pulumi_gcp import projects

from infra.retries import wait_before, worth_another_try

SERVICES = (
    "artifactregistry",
    "billingbudgets",
    "cloudbuild",
    "cloudfunctions",
    "cloudresourcemanager",
    "cloudscheduler",
    "compute",
    "eventarc",
    "firestore",
    "iam",
    "iamcredentials",
    "logging",
    "monitoring",
    "pubsub",
    "run",
    "secretmanager",
    "serviceusage",
    "storage",
    "sts",
)


def _again(args: pulumi.ErrorHookArgs) -> bool:
    if not worth_another_try(args.failed_operation, args.errors):
        return False
    time.sleep(wait_before(args.errors))
    return True


class APIs(pulumi.ComponentResource):
    def __init__(self) -> None:
        super().__init__("snaptask:infra:APIs", "apis")
        self._hook = pulumi.ErrorHook("first-deploy", _again)
        self._services = {
            name: projects.Service(
                f"api-{name}",
                service=f"{name}.googleapis.com",
                # Others in the project may use it; destroying a stack must not break them.
                disable_on_destroy=False,
                opts=pulumi.ResourceOptions(parent=self, hooks=self._hooks()),
            )
            for name in SERVICES
        }
        self.register_outputs({})

    def options(
        self,
        parent: pulumi.Resource,
        *needed: str,
        after: list[pulumi.Resource] | None = None,
        protect: bool = False,
    ) -> pulumi.ResourceOptions:
        """For a child of `parent` that needs the APIs `needed` and comes after `after`."""
        services: list[pulumi.Resource] = [self._services[name] for name in needed]
        return pulumi.ResourceOptions(
            parent=parent,
            depends_on=services + (after or []),
            protect=protect or None,
            hooks=self._hooks(),
        )

    def invoke(self, parent: pulumi.Resource, *needed: str) -> pulumi.InvokeOutputOptions:
        return pulumi.InvokeOutputOptions(
            parent=parent, depends_on=[self._services[name] for name in needed]
        )

    def _hooks(self) -> pulumi.ResourceHookBinding:
        return pulumi.ResourceHookBinding(on_error=[self._hook])
