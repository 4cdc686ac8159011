"""Service accounts: one for each function, one for each kind of caller, one for the build; and
Google's own agents, which exist only once something asked for them."""

from __future__ import annotations

import pulumi
from pulumi_gcp import projects, serviceaccount, storage

from infra.apis import APIs
from infra.declaration import DECLARATION
from infra.environment import account_id
from infra.grants import Grant, grants_on
from infra.settings import Settings

_OTHERS = {
    "builder": "builds the functions' images",
    "trigger": "delivers finalized objects",
    "pusher": "delivers messages of our topics",
    "scheduler": "calls scheduled jobs",
}
_SCANNERS = {"scanner": "runs the scan service", "mirror": "keeps the mirror of signatures"}


class Accounts(pulumi.ComponentResource):
    def __init__(self, settings: Settings, apis: APIs) -> None:
        super().__init__("snaptask:infra:Accounts", "accounts")
        self._settings = settings
        self._apis = apis
        functions = {account_id(one.name): f"runs {one.name}" for one in DECLARATION.functions}
        scanners = _SCANNERS if settings.scanner_image else {}
        self.of = {
            name: serviceaccount.Account(
                f"account-{name}",
                account_id=name,
                description=description,
                opts=apis.options(self, "iam"),
            )
            for name, description in {**functions, **_OTHERS, **scanners}.items()
        }
        self._agents = self._make_agents()
        self.grants = {
            (one.who, one.role): self._on_project(one) for one in grants_on("project", "")
        }
        self.signers = [
            self._signs_as_itself(one) for name in self.of for one in grants_on("account", name)
        ]
        self.register_outputs({})

    def member(self, who: str) -> pulumi.Input[str]:
        if who == "allUsers":
            return who
        if who.startswith("agent:"):
            return self._agents[who.removeprefix("agent:")]
        return self.of[who].member

    def _make_agents(self) -> dict[str, pulumi.Output[str]]:
        identities = {
            name: projects.ServiceIdentity(
                f"agent-{name}",
                service=f"{name}.googleapis.com",
                project=self._settings.project,
                opts=self._apis.options(self, name, "serviceusage"),
            )
            for name in ("eventarc", "pubsub")
        }
        agent = storage.get_project_service_account_output(
            project=self._settings.project, opts=self._apis.invoke(self, "storage")
        )
        return {name: one.member for name, one in identities.items()} | {
            "storage": agent.email_address.apply(lambda email: f"serviceAccount:{email}")
        }

    def _on_project(self, grant: Grant) -> projects.IAMMember:
        condition = None
        if grant.condition:
            text = grant.condition.format(project=self._settings.project)
            condition = projects.IAMMemberConditionArgs(title="only-its-database", expression=text)
        return projects.IAMMember(
            f"project-{grant.who.replace(':', '-')}-{grant.role.rpartition('/')[2]}",
            project=self._settings.project,
            role=grant.role,
            member=self.member(grant.who),
            condition=condition,
            opts=self._apis.options(self, "iam", "cloudresourcemanager"),
        )

    def _signs_as_itself(self, grant: Grant) -> serviceaccount.IAMMember:
        return serviceaccount.IAMMember(
            f"sign-{grant.who}",
            service_account_id=self.of[grant.on].name,
            role=grant.role,
            member=self.member(grant.who),
            opts=self._apis.options(self, "iam", "iamcredentials"),
        )
