"""Secrets without their values: those are added by a command (docs/deploy.md) and rotated as
versions, so no key ever stands in Pulumi's state."""

from __future__ import annotations

import pulumi
from pulumi_gcp import secretmanager

from infra.accounts import Accounts
from infra.apis import APIs
from infra.declaration import DECLARATION
from infra.grants import grants_on
from infra.settings import Settings


class Secrets(pulumi.ComponentResource):
    def __init__(self, settings: Settings, apis: APIs, accounts: Accounts) -> None:
        super().__init__("snaptask:infra:Secrets", "secrets")
        self.grants = []
        for declared in DECLARATION.secrets:
            secret = secretmanager.Secret(
                f"secret-{declared.name}",
                secret_id=declared.name,
                replication={"auto": {}},
                deletion_protection=settings.production,
                opts=apis.options(self, "secretmanager", protect=settings.production),
            )
            self.grants += [
                secretmanager.SecretIamMember(
                    f"secret-{declared.name}-{grant.who}-{grant.role.rpartition('.')[2]}",
                    secret_id=secret.secret_id,
                    role=grant.role,
                    member=accounts.member(grant.who),
                    opts=apis.options(self, "secretmanager"),
                )
                for grant in grants_on("secret", declared.name)
            ]
        self.register_outputs({})
