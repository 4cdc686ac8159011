"""A budget that tells when half, all and more than all of the month's money is gone. It tells; it
stops nothing: a bill is smaller harm than users' data out of reach."""

from __future__ import annotations

import pulumi
from pulumi_gcp import billing, organizations, pubsub

from infra.apis import APIs
from infra.settings import Settings


class Budget(pulumi.ComponentResource):
    def __init__(self, settings: Settings, apis: APIs, channels: list[pulumi.Output[str]]) -> None:
        super().__init__("snaptask:infra:Budget", "budget")
        project = organizations.get_project_output(
            project_id=settings.project, opts=apis.invoke(self, "cloudresourcemanager")
        )
        topic = pubsub.Topic(
            "topic-budget", name="snaptask-budget", opts=apis.options(self, "pubsub")
        )
        billing.Budget(
            "budget",
            billing_account=settings.billing_account,
            display_name=f"Snaptask in {settings.project}",
            amount=billing.BudgetAmountArgs(
                specified_amount=billing.BudgetAmountSpecifiedAmountArgs(
                    currency_code=settings.currency, units=str(settings.monthly_budget)
                )
            ),
            budget_filter=billing.BudgetBudgetFilterArgs(
                projects=[project.apply(lambda found: f"projects/{found.number}")]
            ),
            threshold_rules=[
                billing.BudgetThresholdRuleArgs(threshold_percent=part) for part in (0.5, 1.0, 1.5)
            ],
            all_updates_rule=billing.BudgetAllUpdatesRuleArgs(
                pubsub_topic=topic.id, monitoring_notification_channels=channels
            ),
            opts=apis.options(self, "billingbudgets", "cloudresourcemanager"),
        )
        self.register_outputs({})
