"""Each alert carries what the runbook says of it, and stands on what Monitoring takes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from infra.runbook import ALERTS, OBJECTIVES
from tests.infra.recordings import Recording, Resource, recorded
from tests.infra.stacks import PROD

pytestmark = [pytest.mark.emulated, pytest.mark.xdist_group("infra")]
# Google's Monitoring takes no burn rate over more than a day.
_LONGEST = 86_400


@pytest.fixture(scope="module")
def recording() -> Recording:
    return recorded(PROD, "prod")


def named(recording: Recording) -> dict[str, Resource]:
    return {
        one.name.removeprefix("alert-"): one for one in recording.of("monitoring", "AlertPolicy")
    }


def thresholds(alert: Resource) -> list[dict[str, Any]]:
    return [one["conditionThreshold"] for one in alert.inputs["conditions"]]


def test_every_alert_carries_its_entry_of_the_runbook(recording: Recording) -> None:
    burning = {f"burn-{name}-{rate}": name for name in OBJECTIVES for rate in ("14.4", "6", "1")}
    assert named(recording).keys() == ALERTS.keys() | burning.keys()
    for name, alert in named(recording).items():
        entry = OBJECTIVES[burning[name]] if name in burning else ALERTS[name]
        told = alert.inputs["documentation"]
        assert told["content"] == entry.text
        assert told["mimeType"] == "text/markdown"
        # Monitoring's own limit, in bytes.
        assert len(told["content"].encode()) < 8192
        assert alert.inputs["displayName"].startswith(entry.title)


def test_burn_rates_look_back_over_pairs_of_windows_that_monitoring_takes(
    recording: Recording,
) -> None:
    for name, alert in named(recording).items():
        if not name.startswith("burn-"):
            continue
        windows = [
            int(re.fullmatch(r'select_slo_burn_rate\(".+", "(\d+)s"\)', one["filter"])[1])  # type: ignore[index]
            for one in thresholds(alert)
        ]
        long, short = windows
        assert alert.inputs["combiner"] == "AND"
        assert long <= _LONGEST
        assert short * 12 == long


def test_a_single_lost_file_is_told_of_and_counts_against_its_objective(
    recording: Recording,
) -> None:
    (objective,) = (
        one for one in recording.of("monitoring", "Slo") if one.name == "slo-nothing-lost"
    )
    ratio = objective.inputs["requestBasedSli"]["goodTotalRatio"]
    # The highest that Monitoring takes.
    assert objective.inputs["goal"] == 0.9999
    assert "snaptask_uploads" in ratio["goodServiceFilter"]
    (alert,) = thresholds(named(recording)["lost"])
    assert alert["filter"] == ratio["badServiceFilter"]
    assert (alert["comparison"], alert["thresholdValue"]) == ("COMPARISON_GT", 0)
    assert 'one_of("lost-upload","missing-original")' in alert["filter"]


def test_every_alert_reaches_somebody(recording: Recording) -> None:
    for alert in recording.of("monitoring", "AlertPolicy"):
        assert alert.inputs["notificationChannels"] != []
