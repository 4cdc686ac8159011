"""The scan service on Cloud Run, the mirror of signatures that it starts from, and the job that
keeps the mirror. Made only where snaptask:scannerImage names the image (services/scanner)."""

from __future__ import annotations

import hashlib

import pulumi
from pulumi_gcp import cloudrunv2, cloudscheduler, storage

from infra.accounts import Accounts
from infra.apis import APIs
from infra.buckets import Buckets
from infra.declaration import bucket_name
from infra.grants import grants_on
from infra.settings import Settings

# Also the names that the grants are on.
SERVICE, JOB, MIRROR = "scanner", "signatures", "signatures"
# ClamAV's documentation, "ClamAV in Docker: Memory (RAM) Requirements", has 3 GiB for the least and
# 4 for good: 1.2 of them are loaded signatures. Here their files stand in memory as well, twice
# while new ones come, and so do the uploads under way, of up to 50 MB. One processor takes no more.
_MEMORY, _CPU = "4Gi", "1"
# A scan takes a processor for a quarter of a second: more at once would only wait for one another.
# Twenty instances of thumbnails ask at most, one file each.
_CONCURRENCY, _MOST_INSTANCES = 4, 5
# Two more threads than requests at once answer the probes (shared/http/places.py).
_THREADS = _CONCURRENCY + 2
# Loading signatures takes half a minute, so that without one that waits the first upload would be
# late by as much, or by a delivery.
_LEAST_INSTANCES = 1
# Seconds. clamd gives up after 120, its client after 150, and whoever asks after 180.
_TIMEOUT = 200
# Every ten seconds, 24 times: 240 seconds are the most that Cloud Run takes ("Configure container
# health checks for services").
_STARTUP_PERIOD, _STARTUP_TRIES = 10, 24
_HEALTH = "/health"
# ClamAV publishes once a day and asks for one or two looks a day (its blog, "Freshclam, cdiffs and
# bandwidth are your friends").
_CRON = "43 4,16 * * *"
# Seconds for the job's first run, which waits for its grants and takes and tests everything.
_JOB_TIMEOUT = 1800


class Scanner(pulumi.ComponentResource):
    """`uri` is where thumbnails asks, once `invoker` lets it."""

    def __init__(
        self, settings: Settings, apis: APIs, accounts: Accounts, buckets: Buckets
    ) -> None:
        super().__init__("snaptask:infra:Scanner", "scanner")
        self._settings = settings
        self._apis = apis
        self._accounts = accounts
        self._bucket = self._mirror()
        opened = [*buckets.grants, *self._bucket_grants()]
        self._job = self._job_of(opened)
        self._schedule()
        service = self._service(opened)
        self.uri = service.uri
        (grant,) = grants_on("service", SERVICE)
        self.invoker = cloudrunv2.ServiceIamMember(
            f"invoke-{SERVICE}-{grant.who}",
            name=service.name,
            location=settings.region,
            role=grant.role,
            member=accounts.member(grant.who),
            opts=apis.options(self, "run", after=[service]),
        )
        self.register_outputs({})

    def _mirror(self) -> storage.Bucket:
        return storage.Bucket(
            f"bucket-{MIRROR}",
            name=bucket_name(self._settings.project, MIRROR),
            location=self._settings.region,
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            soft_delete_policy={"retention_duration_seconds": 0},
            # The job fills it again.
            force_destroy=True,
            opts=self._apis.options(self, "storage"),
        )

    def _bucket_grants(self) -> list[pulumi.Resource]:
        return [
            storage.BucketIAMMember(
                f"bucket-{MIRROR}-{grant.who}",
                bucket=self._bucket.name,
                role=grant.role,
                member=self._accounts.member(grant.who),
                opts=self._apis.options(self, "storage"),
            )
            for grant in grants_on("bucket", MIRROR)
        ]

    def _job_of(self, opened: list[pulumi.Resource]) -> cloudrunv2.Job:
        container = cloudrunv2.JobTemplateTemplateContainerArgs(
            image=self._settings.scanner_image,
            commands=["python"],
            args=["-m", "services.scanner.mirror"],
            # freshclam loads what it got before it keeps it.
            resources=cloudrunv2.JobTemplateTemplateContainerResourcesArgs(
                limits={"cpu": _CPU, "memory": _MEMORY}
            ),
            envs=[
                cloudrunv2.JobTemplateTemplateContainerEnvArgs(name=name, value=value)
                for name, value in self._environment().items()
            ],
        )
        return cloudrunv2.Job(
            f"job-{JOB}",
            name=JOB,
            location=self._settings.region,
            template=cloudrunv2.JobTemplateArgs(
                template=cloudrunv2.JobTemplateTemplateArgs(
                    service_account=self._accounts.of["mirror"].email,
                    containers=[container],
                    timeout=f"{_JOB_TIMEOUT}s",
                    # Whoever asks ClamAV's servers again at once is refused for longer.
                    max_retries=0,
                )
            ),
            # It stands once it ran to its end, and runs once for each image: the service starts
            # from what it left, and never in an image whose job fails.
            run_execution_token=_suffix(self._settings.scanner_image),
            # It holds nothing; the provider would refuse to destroy it.
            deletion_protection=False,
            opts=self._apis.options(self, "run", after=opened),
        )

    def _schedule(self) -> None:
        (grant,) = grants_on("job", JOB)
        invoker = cloudrunv2.JobIamMember(
            f"run-{JOB}-{grant.who}",
            name=self._job.name,
            location=self._settings.region,
            role=grant.role,
            member=self._accounts.member(grant.who),
            opts=self._apis.options(self, "run", after=[self._job]),
        )
        place = f"projects/{self._settings.project}/locations/{self._settings.region}"
        cloudscheduler.Job(
            f"schedule-{JOB}",
            name=f"mirror-{JOB}",
            region=self._settings.region,
            schedule=_CRON,
            time_zone="Etc/UTC",
            # It starts the job and does not wait for it.
            attempt_deadline="60s",
            retry_config={"retry_count": 1},
            http_target=cloudscheduler.JobHttpTargetArgs(
                http_method="POST",
                uri=f"https://run.googleapis.com/v2/{place}/jobs/{JOB}:run",
                # An API of Google's takes access tokens, where a service of ours takes ID tokens.
                oauth_token=cloudscheduler.JobHttpTargetOauthTokenArgs(
                    service_account_email=self._accounts.of[grant.who].email
                ),
            ),
            opts=self._apis.options(self, "cloudscheduler", after=[invoker]),
        )

    def _service(self, opened: list[pulumi.Resource]) -> cloudrunv2.Service:
        least = self._settings.min_instances.get(SERVICE, _LEAST_INSTANCES)
        return cloudrunv2.Service(
            f"service-{SERVICE}",
            name=SERVICE,
            location=self._settings.region,
            # Whoever may reach it needs a token of thumbnails' account. Internal ingress would ask
            # for a VPC: without one a function's requests come from outside.
            ingress="INGRESS_TRAFFIC_ALL",
            invoker_iam_disabled=False,
            template=cloudrunv2.ServiceTemplateArgs(
                service_account=self._accounts.of["scanner"].email,
                containers=[self._container()],
                max_instance_request_concurrency=_CONCURRENCY,
                timeout=f"{_TIMEOUT}s",
                scaling=cloudrunv2.ServiceTemplateScalingArgs(
                    min_instance_count=least, max_instance_count=max(least, _MOST_INSTANCES)
                ),
            ),
            deletion_protection=False,
            opts=self._apis.options(self, "run", after=[*opened, self._job]),
        )

    def _container(self) -> cloudrunv2.ServiceTemplateContainerArgs:
        return cloudrunv2.ServiceTemplateContainerArgs(
            image=self._settings.scanner_image,
            resources=cloudrunv2.ServiceTemplateContainerResourcesArgs(
                limits={"cpu": _CPU, "memory": _MEMORY},
                # New signatures are taken between requests, which needs a processor.
                cpu_idle=False,
                startup_cpu_boost=True,
            ),
            envs=[
                cloudrunv2.ServiceTemplateContainerEnvArgs(name=name, value=value)
                for name, value in {**self._environment(), "THREADS": str(_THREADS)}.items()
            ],
            startup_probe=cloudrunv2.ServiceTemplateContainerStartupProbeArgs(
                http_get=cloudrunv2.ServiceTemplateContainerStartupProbeHttpGetArgs(path=_HEALTH),
                period_seconds=_STARTUP_PERIOD,
                timeout_seconds=5,
                failure_threshold=_STARTUP_TRIES,
            ),
            liveness_probe=cloudrunv2.ServiceTemplateContainerLivenessProbeArgs(
                http_get=cloudrunv2.ServiceTemplateContainerLivenessProbeHttpGetArgs(path=_HEALTH),
                period_seconds=30,
                timeout_seconds=10,
                failure_threshold=4,
            ),
        )

    def _environment(self) -> dict[str, str]:
        project = self._settings.project
        return {
            "ENVIRONMENT": "production",
            "GOOGLE_CLOUD_PROJECT": project,
            "INBOX_BUCKET": bucket_name(project, "inbox"),
            "SIGNATURES_BUCKET": bucket_name(project, MIRROR),
        }


def _suffix(image: str) -> str:
    """Of the name of a run, which takes lower-case letters, digits and hyphens."""
    return hashlib.sha256(image.encode()).hexdigest()[:16]
