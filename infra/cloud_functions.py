"""The functions: archive, build, size, environment, trigger, and who may call them."""

from __future__ import annotations

import pulumi
from pulumi_gcp import cloudfunctionsv2, cloudrunv2, storage

from infra.accounts import Accounts
from infra.apis import APIs
from infra.buckets import Buckets
from infra.declaration import DECLARATION, Function
from infra.environment import account_id, environment
from infra.grants import Grant, grants_on
from infra.scanner import Scanner
from infra.settings import Settings
from tools.bundle import bundle

RUNTIME = "python312"
_APIS = ("cloudfunctions", "cloudbuild", "artifactregistry", "run", "storage")
FINALIZED = "google.cloud.storage.object.v1.finalized"


class Functions(pulumi.ComponentResource):
    def __init__(
        self,
        settings: Settings,
        apis: APIs,
        accounts: Accounts,
        buckets: Buckets,
        scanner: Scanner | None,
    ) -> None:
        super().__init__("snaptask:infra:Functions", "functions")
        self._settings = settings
        self._apis = apis
        self._accounts = accounts
        self._buckets = buckets
        self._scanner = scanner
        self._made = {"SCANNER": scanner.uri} if scanner else {}
        self.of = {one.name: self._function(one) for one in DECLARATION.functions}
        self.invokers = {
            (one.name, grant.who): self._invoker(one, grant)
            for one in DECLARATION.functions
            for grant in grants_on("service", one.name)
            if grant.who != "allUsers" or settings.public_invocation
        }
        self.register_outputs({})

    def uri(self, name: str) -> pulumi.Output[str]:
        """Where the platform's own callers reach it, and what their tokens are for."""
        return self.of[name].service_config.apply(lambda config: str(config.uri if config else ""))

    def _function(self, declared: Function) -> cloudfunctionsv2.Function:
        accounts = self._accounts
        needed = (*_APIS, "eventarc", "pubsub") if declared.trigger else _APIS
        return cloudfunctionsv2.Function(
            f"function-{declared.name}",
            name=declared.name,
            location=self._settings.region,
            build_config=cloudfunctionsv2.FunctionBuildConfigArgs(
                runtime=RUNTIME,
                entry_point=declared.name,
                service_account=accounts.of["builder"].name,
                source=cloudfunctionsv2.FunctionBuildConfigSourceArgs(
                    storage_source=self._source(declared)
                ),
            ),
            service_config=self._service(declared),
            event_trigger=self._trigger(declared),
            opts=self._apis.options(self, *needed, after=self._before(declared)),
        )

    def _source(
        self, declared: Function
    ) -> cloudfunctionsv2.FunctionBuildConfigSourceStorageSourceArgs:
        archive = bundle(declared.name)
        stored = storage.BucketObject(
            f"archive-{declared.name}",
            bucket=self._buckets.sources.name,
            # The name holds the digest of the contents: unchanged code changes no resource.
            name=archive.name,
            source=pulumi.FileAsset(str(archive)),
            opts=self._apis.options(self, "storage"),
        )
        return cloudfunctionsv2.FunctionBuildConfigSourceStorageSourceArgs(
            bucket=self._buckets.sources.name, object=stored.name
        )

    def _service(self, declared: Function) -> cloudfunctionsv2.FunctionServiceConfigArgs:
        least = self._settings.min_instances.get(declared.name, declared.min_instances)
        return cloudfunctionsv2.FunctionServiceConfigArgs(
            service_account_email=self._accounts.of[account_id(declared.name)].email,
            available_memory=f"{declared.memory_mib}Mi",
            available_cpu=f"{declared.cpu:g}",
            max_instance_request_concurrency=declared.concurrency,
            timeout_seconds=declared.timeout,
            min_instance_count=least,
            max_instance_count=declared.max_instances,
            environment_variables=environment(declared, self._settings, self._made),
            # Behind a load balancer nobody walks round its rate limits.
            ingress_settings=("ALLOW_INTERNAL_AND_GCLB" if self._settings.domain else "ALLOW_ALL"),
            all_traffic_on_latest_revision=True,
        )

    def _trigger(self, declared: Function) -> cloudfunctionsv2.FunctionEventTriggerArgs | None:
        if declared.trigger is None:
            return None
        return cloudfunctionsv2.FunctionEventTriggerArgs(
            event_type=FINALIZED,
            trigger_region=self._settings.region,
            event_filters=[
                cloudfunctionsv2.FunctionEventTriggerEventFilterArgs(
                    attribute="bucket", value=self._buckets.of[declared.trigger.bucket].name
                )
            ],
            # Without it an event whose function fails once is gone.
            retry_policy=(
                "RETRY_POLICY_RETRY" if declared.trigger.retry else "RETRY_POLICY_DO_NOT_RETRY"
            ),
            service_account_email=self._accounts.of["trigger"].email,
        )

    def _before(self, declared: Function) -> list[pulumi.Resource]:
        """The grants without which the build, the trigger or the first request would fail."""
        granted = self._accounts.grants
        found: list[pulumi.Resource] = [granted["builder", "roles/cloudbuild.builds.builder"]]
        if declared.trigger:
            found += [
                granted["agent:eventarc", "roles/eventarc.serviceAgent"],
                granted["agent:storage", "roles/pubsub.publisher"],
                granted["trigger", "roles/eventarc.eventReceiver"],
            ]
        if "SCANNER" in declared.env and self._scanner:
            found.append(self._scanner.invoker)
        return found

    def _invoker(self, declared: Function, grant: Grant) -> cloudrunv2.ServiceIamMember:
        return cloudrunv2.ServiceIamMember(
            f"invoke-{declared.name}-{grant.who}",
            # A function of the second generation is a Cloud Run service of its name.
            name=self.of[declared.name].name,
            location=self._settings.region,
            role=grant.role,
            member=self._accounts.member(grant.who),
            opts=self._apis.options(self, "run", after=[self.of[declared.name]]),
        )
