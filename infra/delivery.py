"""Lets the workflows of one GitHub repository act in this project, without any key: deploy may
change it, preview may look at it."""

from __future__ import annotations

from collections.abc import Iterable

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
# A pull request's branch brings its own program, which nobody has read yet: to tell what would
# change, the state and the project's number are enough.
_PREVIEW_ROLES = ("roles/browser",)
_BRANCH = "refs/heads/main"
_ISSUER = "https://token.actions.githubusercontent.com"


class Delivery(pulumi.ComponentResource):
    def __init__(self, settings: Settings, apis: APIs) -> None:
        super().__init__("snaptask:infra:Delivery", "delivery")
        # GitHub's environments, and who comes in from each.
        deploying = "prod" if settings.production else "dev"
        repository = f'assertion.repository == "{settings.repository}"'
        # Whatever its protection on GitHub says, or does not say yet: of the branch that is read.
        jobs = [f'assertion.environment == "{deploying}" && assertion.ref == "{_BRANCH}"']
        if not settings.production:
            jobs.append('assertion.environment == "preview"')
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
                "attribute.environment": "assertion.environment",
            },
            # Without the first half every repository on GitHub could come in; without the second
            # every branch and workflow of ours: an environment asks whom its protection names. A
            # token of a job without one lacks the claim, which refuses it as well.
            attribute_condition=f"{repository} && ({' || '.join(jobs)})",
            oidc=iam.WorkloadIdentityPoolProviderOidcArgs(issuer_uri=_ISSUER),
            opts=apis.options(self, "iam", "sts"),
        )
        self._pool = pool.name
        self.deploy = self._admit("deploy", deploying, _ROLES, settings, apis)
        self.preview: serviceaccount.Account | None = None
        if not settings.production:
            self.preview = self._admit("preview", "preview", _PREVIEW_ROLES, settings, apis)
        self.register_outputs({})

    def _admit(
        self, name: str, environment: str, roles: Iterable[str], settings: Settings, apis: APIs
    ) -> serviceaccount.Account:
        """An account that only jobs of this environment can be."""
        account = serviceaccount.Account(
            f"account-{name}",
            account_id=name,
            description=f"the {name} workflow",
            opts=apis.options(self, "iam"),
        )
        jobs = f"attribute.environment/{environment}"
        serviceaccount.IAMMember(
            f"{name}-from-github",
            service_account_id=account.name,
            role="roles/iam.workloadIdentityUser",
            member=self._pool.apply(
                lambda pool: f"principalSet://iam.googleapis.com/{pool}/{jobs}"
            ),
            opts=apis.options(self, "iam", "iamcredentials"),
        )
        for role in roles:
            projects.IAMMember(
                f"{name}-{role.rpartition('/')[2]}",
                project=settings.project,
                role=role,
                member=account.member,
                opts=apis.options(self, "iam", "cloudresourcemanager"),
            )
        return account
