"""`pulumi up`: all of Snaptask in a Google project, composed from one component per concern."""

from __future__ import annotations

import os
import sys
from pathlib import Path

# Pulumi runs this file from its own folder; our modules have one name in both worlds, infra.<x>.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pulumi
from pulumi.runtime import config

from infra.accounts import Accounts
from infra.apis import APIs
from infra.buckets import Buckets
from infra.budget import Budget
from infra.cloud_functions import Functions
from infra.database import Database
from infra.delivery import Delivery
from infra.edge import Edge
from infra.messaging import Subscriptions, Topics
from infra.observability import Observability
from infra.scanner import Scanner
from infra.schedules import Schedules
from infra.secret_store import Secrets
from infra.settings import read
from infra.web_app import WebApp

os.chdir(Path(__file__).resolve().parents[1])
settings = read({**config.get_config_env(), **config.CONFIG.get()})
apis = APIs()
accounts = Accounts(settings, apis)
buckets = Buckets(settings, apis, accounts)
database = Database(settings, apis)
secrets = Secrets(settings, apis, accounts)
topics = Topics(settings, apis, accounts)
scanner = Scanner(settings, apis, accounts, buckets) if settings.scanner_image else None
functions = Functions(settings, apis, accounts, buckets, scanner)
Subscriptions(apis, accounts, topics, functions)
Schedules(settings, apis, accounts, functions)
observability = Observability(settings, apis, functions)
pulumi.export("api", settings.base_url)
if settings.domain:
    # Both need allUsers, which an organisation may forbid.
    web = WebApp(settings, apis) if settings.public_invocation else None
    pulumi.export("address", Edge(settings, apis, functions, web).address)
if settings.billing_account:
    Budget(settings, apis, observability.channels)
if settings.repository:
    delivery = Delivery(settings, apis)
    pulumi.export("workloadIdentityProvider", delivery.provider.name)
    pulumi.export("deployAccount", delivery.deploy.email)
    if delivery.preview:
        pulumi.export("previewAccount", delivery.preview.email)
