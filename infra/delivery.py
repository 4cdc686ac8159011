"""Lets the deploy workflow of one GitHub repository act in this project, without any key."""

from __future__ import annotations

import pulumi
from pulumi_gcp import iam, projects, serviceaccount

from infra.apis import APIs
from infra.settings import Settings

# What the program itself makes. Granting roles is among it, so who deploys could take anything:
# the branch that may deploy must be protected (docs/deploy.md).
_ROLES = (
    "roles/artifactregistry.reader",
    "roles/cloudfunctions.admin",
    "roles/cloudscheduler.admin",
    "roles/compute.loadBalancerAdmin",
    "roles/compute.securityAdmin",
    "roles/datastore.owner",
    "roles/iam.serviceAccountAdmin",
    "roles/iam.serviceAccountUser",
    "roles/iam.workloadIdentityPoolAdmin",
    "roles/logging.configWriter",
    "roles/monitoring.editor",
    "roles/pubsub.admin",
    "roles/resourcemanager.projectIamAdmin",
    "roles/run.admin",
    "roles/secretmanager.admin",
    "roles/serviceusage.serviceUsageAdmin",
    "roles/storage.admin",
)
_ISSUER = "https://token.actions.githubusercontent.com"


class Delivery(pulumi.ComponentResource):
    def __init__(self, settings: Settings, apis: APIs) -> None:
        super().__init__("snaptask:infra:Delivery", "delivery")
        environment = "prod" if settings.production else "dev"
        pool = iam.WorkloadIdentityPool(
            "pool",
            workload_identity_pool_id="github",
            display_name="GitHub Actions",
            opts=apis.options(self, "iam", "sts"),
        )
        self.provider = iam.WorkloadIdentityPoolProvider(
            "provider",
            workload_identity_pool_id=pool.workload_identity_pool_id,
            workload_identity_pool_provider_id="github",
            attribute_mapping={
                "google.subject": "assertion.sub",
                "attribute.repository": "assertion.repository",
                "attribute.ref": "assertion.ref",
            },
            # Without the first half every repository on GitHub could come in; without the second
            # every branch and workflow of ours: an environment asks whom its protection names. A
            # token of a job without one lacks the claim, which refuses it as well.
            attribute_condition=(
                f'assertion.repository == "{settings.repository}"'
                f' && assertion.environment == "{environment}"'
            ),
            oidc=iam.WorkloadIdentityPoolProviderOidcArgs(issuer_uri=_ISSUER),
            opts=apis.options(self, "iam", "sts"),
        )
        self.account = serviceaccount.Account(
            "account-deploy",
            account_id="deploy",
            description="the deploy workflow",
            opts=apis.options(self, "iam"),
        )
        who = pool.name.apply(
            lambda name: (
                f"principalSet://iam.googleapis.com/{name}/attribute.repository/"
                f"{settings.repository}"
            )
        )
        serviceaccount.IAMMember(
            "deploy-from-github",
            service_account_id=self.account.name,
            role="roles/iam.workloadIdentityUser",
            member=who,
            opts=apis.options(self, "iam", "iamcredentials"),
        )
        for role in _ROLES:
            projects.IAMMember(
                f"deploy-{role.rpartition('/')[2]}",
                project=settings.project,
                role=role,
                member=self.account.member,
                opts=apis.options(self, "iam", "cloudresourcemanager"),
            )
        self.register_outputs({})
