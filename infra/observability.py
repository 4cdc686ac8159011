"""Metrics out of log lines, objectives, alerts on how fast their budget burns, checks from outside,
and a dashboard."""

from __future__ import annotations

import json

import pulumi
from pulumi_gcp import logging, monitoring

from infra.apis import APIs
from infra.cloud_functions import Functions
from infra.dashboard import dashboard
from infra.declaration import DECLARATION
from infra.metrics import METRICS, PREFIX, LogMetric
from infra.settings import Settings

# Of four weeks' budget: 2 % in an hour, 5 % in six, 4 % in a day (Google's "SRE Workbook",
# chapter 5). The second window ends the alert soon after the trouble.
BURN_RATES = ((14.4, 3600, 300), (6.0, 21_600, 1800), (1.0, 86_400, 7200))
_DAYS = 28
_ROUTED = [one.name for one in DECLARATION.functions if one.route]
_API = 'resource.type="cloud_run_revision" AND resource.labels.service_name=one_of({})'.format(
    ",".join(f'"{name}"' for name in _ROUTED)
)
# Seconds up to a day, each bound twice the one before.
_BOUNDS = [float(2**power) / 4 for power in range(20)]


class Observability(pulumi.ComponentResource):
    def __init__(self, settings: Settings, apis: APIs, functions: Functions) -> None:
        super().__init__("snaptask:infra:Observability", "observability")
        self._settings = settings
        self._apis = apis
        self.channels: list[pulumi.Output[str]] = []
        if settings.alert_email:
            channel = monitoring.NotificationChannel(
                "channel-email",
                type="email",
                display_name="Snaptask alerts",
                labels={"email_address": settings.alert_email},
                opts=apis.options(self, "monitoring"),
            )
            self.channels.append(channel.name)
        metrics: list[pulumi.Resource] = [self._metric(one) for one in METRICS]
        self._after: list[pulumi.Resource] = [*functions.of.values(), *metrics]
        self._objectives()
        self._messages()
        if settings.public_invocation:
            self._uptime()
        monitoring.Dashboard(
            "dashboard",
            dashboard_json=json.dumps(dashboard(), sort_keys=True),
            opts=apis.options(self, "monitoring", after=self._after),
        )
        self.register_outputs({})

    def _metric(self, declared: LogMetric) -> logging.Metric:
        distribution = bool(declared.field)
        return logging.Metric(
            f"metric-{declared.name}",
            name=declared.name,
            description=declared.why,
            filter=f'resource.type="cloud_run_revision" AND {declared.where}',
            value_extractor=f"EXTRACT(jsonPayload.{declared.field})" if distribution else None,
            label_extractors={one: f"EXTRACT(jsonPayload.{one})" for one in declared.labels},
            metric_descriptor=logging.MetricMetricDescriptorArgs(
                metric_kind="DELTA",
                value_type="DISTRIBUTION" if distribution else "INT64",
                unit="s" if distribution else "1",
                labels=[
                    logging.MetricMetricDescriptorLabelArgs(key=one, value_type="STRING")
                    for one in declared.labels
                ],
            ),
            bucket_options=(
                logging.MetricBucketOptionsArgs(
                    explicit_buckets=logging.MetricBucketOptionsExplicitBucketsArgs(bounds=_BOUNDS)
                )
                if distribution
                else None
            ),
            opts=self._apis.options(self, "logging"),
        )

    def _objectives(self) -> None:
        service = monitoring.CustomService(
            "service",
            service_id="snaptask",
            display_name="Snaptask",
            opts=self._apis.options(self, "monitoring"),
        )
        requests = f'metric.type="run.googleapis.com/request_count" AND {_API}'
        latencies = f'metric.type="run.googleapis.com/request_latencies" AND {_API}'
        uploads = (
            f'metric.type="{PREFIX}snaptask_upload_seconds" AND resource.type="cloud_run_revision"'
        )
        availability = monitoring.SloRequestBasedSliArgs(
            good_total_ratio=monitoring.SloRequestBasedSliGoodTotalRatioArgs(
                total_service_filter=requests,
                bad_service_filter=f'{requests} AND metric.labels.response_code_class="5xx"',
            )
        )
        self._objective("api-success", "API: answers without a fault", 0.999, availability, service)
        # Milliseconds: the seed's bar is 200 at p95; cold starts are inside this one.
        fast = _below(latencies, 500)
        self._objective("api-latency", "API: answers within 500 ms", 0.95, fast, service)
        settled = _below(uploads, 60)
        self._objective("upload-ready", "Uploads: settled within 60 s", 0.99, settled, service)

    def _objective(
        self,
        name: str,
        title: str,
        goal: float,
        sli: monitoring.SloRequestBasedSliArgs,
        service: monitoring.CustomService,
    ) -> None:
        objective = monitoring.Slo(
            f"slo-{name}",
            service=service.service_id,
            slo_id=name,
            display_name=title,
            goal=goal,
            rolling_period_days=_DAYS,
            request_based_sli=sli,
            opts=self._apis.options(self, "monitoring", after=self._after),
        )
        for rate, long, short in BURN_RATES:
            self._alert(
                f"burn-{name}-{rate:g}",
                f"{title}: the budget burns {rate:g} times too fast",
                [self._burning(objective, seconds, rate) for seconds in (long, short)],
                "CRITICAL" if rate > 1 else "WARNING",
            )

    def _burning(
        self, objective: monitoring.Slo, seconds: int, rate: float
    ) -> monitoring.AlertPolicyConditionArgs:
        return monitoring.AlertPolicyConditionArgs(
            display_name=f"over {seconds} seconds",
            condition_threshold=monitoring.AlertPolicyConditionConditionThresholdArgs(
                filter=objective.name.apply(
                    lambda name: f'select_slo_burn_rate("{name}", "{seconds}s")'
                ),
                comparison="COMPARISON_GT",
                threshold_value=rate,
                duration="0s",
            ),
        )

    def _messages(self) -> None:
        """Dead letters, messages that nobody acknowledges, events that nobody publishes."""
        backlog = 'metric.type="pubsub.googleapis.com/subscription/{}" AND '
        backlog += 'resource.type="pubsub_subscription"'
        alive = backlog.format("oldest_unacked_message_age")
        self._above(
            "dead-letters",
            "A message died: no acknowledged upload may be lost",
            backlog.format("dead_letter_message_count"),
            0,
            "ALIGN_DELTA",
        )
        self._above(
            "stuck",
            "An event is not done after 15 minutes (scan, thumbnails, activity)",
            alive,
            900,
            "ALIGN_MAX",
        )
        self._above(
            "outbox",
            "Events wait unpublished for more than 5 minutes",
            f'metric.type="{PREFIX}snaptask_outbox_seconds" AND resource.type="cloud_run_revision"',
            300,
            "ALIGN_PERCENTILE_99",
        )

    def _above(self, name: str, title: str, where: str, limit: float, aligner: str) -> None:
        condition = monitoring.AlertPolicyConditionArgs(
            display_name=title,
            condition_threshold=monitoring.AlertPolicyConditionConditionThresholdArgs(
                filter=where,
                comparison="COMPARISON_GT",
                threshold_value=limit,
                duration="60s",
                aggregations=[
                    monitoring.AlertPolicyConditionConditionThresholdAggregationArgs(
                        alignment_period="300s", per_series_aligner=aligner
                    )
                ],
            ),
        )
        self._alert(name, title, [condition], "ERROR")

    def _alert(
        self,
        name: str,
        title: str,
        conditions: list[monitoring.AlertPolicyConditionArgs],
        severity: str,
    ) -> None:
        monitoring.AlertPolicy(
            f"alert-{name}",
            display_name=title,
            combiner="AND",
            severity=severity,
            conditions=conditions,
            notification_channels=self.channels,
            alert_strategy=monitoring.AlertPolicyAlertStrategyArgs(auto_close="86400s"),
            opts=self._apis.options(self, "monitoring", after=self._after),
        )

    def _uptime(self) -> None:
        """From outside, through the load balancer where there is one."""
        host, _, path = self._settings.base_url.removeprefix("https://").partition("/")
        for name in _ROUTED:
            monitoring.UptimeCheckConfig(
                f"uptime-{name}",
                display_name=f"{name} answers",
                timeout="10s",
                period="300s",
                http_check=monitoring.UptimeCheckConfigHttpCheckArgs(
                    path=f"/{path}/{name}/health".replace("//", "/"),
                    port=443,
                    use_ssl=True,
                    validate_ssl=True,
                ),
                monitored_resource=monitoring.UptimeCheckConfigMonitoredResourceArgs(
                    type="uptime_url",
                    labels={"host": host, "project_id": self._settings.project},
                ),
                opts=self._apis.options(self, "monitoring", after=self._after),
            )
        failing = monitoring.AlertPolicyConditionConditionThresholdArgs(
            filter='metric.type="monitoring.googleapis.com/uptime_check/check_passed" AND '
            'resource.type="uptime_url"',
            comparison="COMPARISON_GT",
            # More than one place on earth has to see it.
            threshold_value=1,
            duration="60s",
            aggregations=[
                monitoring.AlertPolicyConditionConditionThresholdAggregationArgs(
                    alignment_period="600s",
                    per_series_aligner="ALIGN_NEXT_OLDER",
                    cross_series_reducer="REDUCE_COUNT_FALSE",
                    group_by_fields=["metric.label.check_id"],
                )
            ],
        )
        title = "A function does not answer from outside"
        condition = monitoring.AlertPolicyConditionArgs(
            display_name=title, condition_threshold=failing
        )
        self._alert("unreachable", title, [condition], "CRITICAL")


def _below(latencies: str, limit: float) -> monitoring.SloRequestBasedSliArgs:
    return monitoring.SloRequestBasedSliArgs(
        distribution_cut=monitoring.SloRequestBasedSliDistributionCutArgs(
            distribution_filter=latencies,
            range=monitoring.SloRequestBasedSliDistributionCutRangeArgs(max=limit),
        )
    )
