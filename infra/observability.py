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
from infra.metrics import (
    BOUNDS,
    LOST,
    METRICS,
    PREFIX,
    SETTLED,
    UNPUBLISHED,
    UNSCANNED,
    LogMetric,
)
from infra.runbook import ALERTS, OBJECTIVES, Entry
from infra.settings import Settings

# Of four weeks' budget: 2 % in an hour, 5 % in six, 4 % in a day. The second window ends the alert
# soon after the trouble. Google's "SRE Workbook", chapter 5, has the third over three days and six
# hours; its Monitoring takes no burn rate over more than 24 hours ("Alerting on your burn rate:
# Alerting policies and lookback periods").
BURN_RATES = ((14.4, 3600, 300), (6.0, 21_600, 1800), (1.0, 86_400, 7200))
_DAYS = 28
_ROUTED = [one.name for one in DECLARATION.functions if one.route]
_API = 'resource.type="cloud_run_revision" AND resource.labels.service_name=one_of({})'.format(
    ",".join(f'"{name}"' for name in _ROUTED)
)


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
                    explicit_buckets=logging.MetricBucketOptionsExplicitBucketsArgs(bounds=BOUNDS)
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
        availability = monitoring.SloRequestBasedSliArgs(
            good_total_ratio=monitoring.SloRequestBasedSliGoodTotalRatioArgs(
                total_service_filter=requests,
                bad_service_filter=f'{requests} AND metric.labels.response_code_class="5xx"',
            )
        )
        # Milliseconds: the seed's bar is 200 at p95; cold starts are inside this one.
        fast = _below(latencies, 500)
        settled = _below(_own("snaptask_upload_seconds"), SETTLED)
        self._burns("api-success", 0.999, availability, service)
        self._burns("api-latency", 0.95, fast, service)
        self._burns("upload-ready", 0.99, settled, service)
        # None at all is meant; 0.9999 is the highest goal that Monitoring takes. A first loss is
        # alerted of by itself, no budget for it may burn.
        kept = monitoring.SloRequestBasedSliArgs(
            good_total_ratio=monitoring.SloRequestBasedSliGoodTotalRatioArgs(
                good_service_filter=_own("snaptask_uploads"), bad_service_filter=_lost()
            )
        )
        self._objective(
            "nothing-lost", "Uploads: none that was taken is lost", 0.9999, kept, service
        )

    def _objective(
        self,
        name: str,
        title: str,
        goal: float,
        sli: monitoring.SloRequestBasedSliArgs,
        service: monitoring.CustomService,
    ) -> monitoring.Slo:
        return monitoring.Slo(
            f"slo-{name}",
            service=service.service_id,
            slo_id=name,
            display_name=title,
            goal=goal,
            rolling_period_days=_DAYS,
            request_based_sli=sli,
            opts=self._apis.options(self, "monitoring", after=self._after),
        )

    def _burns(
        self,
        name: str,
        goal: float,
        sli: monitoring.SloRequestBasedSliArgs,
        service: monitoring.CustomService,
    ) -> None:
        """An objective, and alerts when its budget burns too fast."""
        entry = OBJECTIVES[name]
        objective = self._objective(name, entry.title, goal, sli, service)
        for rate, long, short in BURN_RATES:
            self._alert(
                f"burn-{name}-{rate:g}",
                f"{entry.title}: the budget burns {rate:g} times too fast",
                entry,
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
        """Dead letters, losses, drift, and whatever stands still for too long."""
        backlog = 'metric.type="pubsub.googleapis.com/subscription/{}" AND '
        backlog += 'resource.type="pubsub_subscription"'
        alive = backlog.format("oldest_unacked_message_age")
        self._above("dead-letters", backlog.format("dead_letter_message_count"), 0, "ALIGN_DELTA")
        self._above("lost", _lost(), 0, "ALIGN_DELTA", "CRITICAL")
        # One that could not be mended had moved while it was added up: no drift.
        drift = 'metric.labels.kind="wrong-usage" AND metric.labels.outcome="repaired"'
        drifted = f"{_own('snaptask_findings')} AND {drift}"
        self._above("quota-drift", drifted, 0, "ALIGN_DELTA", "WARNING")
        self._above("stuck", alive, 900, "ALIGN_MAX")
        outbox, scan = _own("snaptask_outbox_seconds"), _own("snaptask_scan_seconds")
        self._above("outbox", outbox, UNPUBLISHED, "ALIGN_PERCENTILE_99")
        self._above("stuck-scan", scan, UNSCANNED, "ALIGN_PERCENTILE_99")
        if self._settings.scanner_image:
            old = _own("snaptask_old_signatures")
            self._above("old-signatures", old, 0, "ALIGN_DELTA", "WARNING")

    def _above(
        self, name: str, where: str, limit: float, aligner: str, severity: str = "ERROR"
    ) -> None:
        title = ALERTS[name].title
        condition = monitoring.AlertPolicyConditionArgs(
            display_name=title,
            condition_threshold=monitoring.AlertPolicyConditionConditionThresholdArgs(
                filter=where,
                comparison="COMPARISON_GT",
                threshold_value=limit,
                duration="60s",
                aggregations=[
                    monitoring.AlertPolicyConditionConditionThresholdAggregationArgs(
                        # Twice the slowest of the jobs that tell a figure: none is missed.
                        alignment_period="600s",
                        per_series_aligner=aligner,
                    )
                ],
            ),
        )
        self._alert(name, title, ALERTS[name], [condition], severity)

    def _alert(
        self,
        name: str,
        title: str,
        entry: Entry,
        conditions: list[monitoring.AlertPolicyConditionArgs],
        severity: str,
    ) -> None:
        monitoring.AlertPolicy(
            f"alert-{name}",
            display_name=title,
            combiner="AND",
            severity=severity,
            documentation=monitoring.AlertPolicyDocumentationArgs(
                content=entry.text, mime_type="text/markdown"
            ),
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
        entry = ALERTS["unreachable"]
        condition = monitoring.AlertPolicyConditionArgs(
            display_name=entry.title, condition_threshold=failing
        )
        self._alert("unreachable", entry.title, entry, [condition], "CRITICAL")


def _own(metric: str) -> str:
    return f'metric.type="{PREFIX}{metric}" AND resource.type="cloud_run_revision"'


def _lost() -> str:
    kinds = ",".join(f'"{kind}"' for kind in LOST)
    return f"{_own('snaptask_findings')} AND metric.labels.kind=one_of({kinds})"


def _below(latencies: str, limit: float) -> monitoring.SloRequestBasedSliArgs:
    return monitoring.SloRequestBasedSliArgs(
        distribution_cut=monitoring.SloRequestBasedSliDistributionCutArgs(
            distribution_filter=latencies,
            range=monitoring.SloRequestBasedSliDistributionCutRangeArgs(max=limit),
        )
    )
