"""The dashboard as the Monitoring API takes it (projects.dashboards), built from plain data."""

from __future__ import annotations

from typing import Any

from infra.metrics import PREFIX

_RUN = 'resource.type="cloud_run_revision"'
_QUEUE = 'resource.type="pubsub_subscription"'
# (title, filter, aligner, label): one chart each, two in a row.
CHARTS = (
    (
        "Requests per second",
        f'metric.type="run.googleapis.com/request_count" AND {_RUN}',
        "ALIGN_RATE",
        "resource.label.service_name",
    ),
    (
        "Faults per second",
        f'metric.type="run.googleapis.com/request_count" AND {_RUN} AND '
        'metric.label.response_code_class="5xx"',
        "ALIGN_RATE",
        "resource.label.service_name",
    ),
    (
        "Time to answer, p95 (ms)",
        f'metric.type="run.googleapis.com/request_latencies" AND {_RUN}',
        "ALIGN_PERCENTILE_95",
        "resource.label.service_name",
    ),
    (
        "Instances",
        f'metric.type="run.googleapis.com/container/instance_count" AND {_RUN}',
        "ALIGN_MAX",
        "resource.label.service_name",
    ),
    (
        "Upload arrived to settled, p99 (s)",
        f'metric.type="{PREFIX}snaptask_upload_seconds" AND {_RUN}',
        "ALIGN_PERCENTILE_99",
        "resource.label.service_name",
    ),
    (
        "Oldest unpublished event, p99 (s)",
        f'metric.type="{PREFIX}snaptask_outbox_seconds" AND {_RUN}',
        "ALIGN_PERCENTILE_99",
        "resource.label.service_name",
    ),
    (
        "Oldest file without a verdict, p99 (s)",
        f'metric.type="{PREFIX}snaptask_scan_seconds" AND {_RUN}',
        "ALIGN_PERCENTILE_99",
        "resource.label.service_name",
    ),
    (
        "Looks at old signatures",
        f'metric.type="{PREFIX}snaptask_old_signatures" AND {_RUN}',
        "ALIGN_DELTA",
        "resource.label.service_name",
    ),
    (
        "What the reconciler found, by kind",
        f'metric.type="{PREFIX}snaptask_findings" AND {_RUN}',
        "ALIGN_DELTA",
        "metric.label.kind",
    ),
    (
        "Uploads settled per second",
        f'metric.type="{PREFIX}snaptask_uploads" AND {_RUN}',
        "ALIGN_RATE",
        "resource.label.service_name",
    ),
    (
        "Messages that died",
        f'metric.type="pubsub.googleapis.com/subscription/dead_letter_message_count" AND {_QUEUE}',
        "ALIGN_DELTA",
        "resource.label.subscription_id",
    ),
    (
        "Oldest unacknowledged message (s)",
        f'metric.type="pubsub.googleapis.com/subscription/oldest_unacked_message_age" AND {_QUEUE}',
        "ALIGN_MAX",
        "resource.label.subscription_id",
    ),
    (
        "Problems told to clients",
        f'metric.type="{PREFIX}snaptask_problems" AND {_RUN}',
        "ALIGN_RATE",
        "metric.label.problem",
    ),
)
_WIDTH, _HEIGHT = 24, 16


def dashboard() -> dict[str, Any]:
    tiles = [
        {
            "xPos": _WIDTH * (number % 2),
            "yPos": _HEIGHT * (number // 2),
            "width": _WIDTH,
            "height": _HEIGHT,
            "widget": _widget(*chart),
        }
        for number, chart in enumerate(CHARTS)
    ]
    return {"displayName": "Snaptask", "mosaicLayout": {"columns": 2 * _WIDTH, "tiles": tiles}}


def _widget(title: str, where: str, aligner: str, label: str) -> dict[str, Any]:
    aggregation = {
        "alignmentPeriod": "60s",
        "perSeriesAligner": aligner,
        "crossSeriesReducer": "REDUCE_MAX" if "PERCENTILE" in aligner else "REDUCE_SUM",
        "groupByFields": [label],
    }
    data = {
        "plotType": "LINE",
        "timeSeriesQuery": {"timeSeriesFilter": {"filter": where, "aggregation": aggregation}},
    }
    return {"title": title, "xyChart": {"dataSets": [data]}}
