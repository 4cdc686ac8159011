"""Mistakes with the scan service, its mirror and its job (tests/infra/mistakes.py)."""

from __future__ import annotations

from tests.infra.mistakes import Mistake

MISTAKES = (
    Mistake(
        "everybody may have files scanned",
        "scanner",
        "member=accounts.member(grant.who),\n            opts=apis",
        'member="allUsers",\n            opts=apis',
    ),
    Mistake(
        "nobody checks who calls the scan service",
        "scanner",
        "invoker_iam_disabled=False",
        "invoker_iam_disabled=True",
    ),
    Mistake(
        "thumbnails may not ask its scanner",
        "grants",
        '"roles/run.invoker", "service", "scanner"',
        '"roles/run.viewer", "service", "scanner"',
    ),
    Mistake(
        "another function may ask the scanner",
        "grants",
        'account_id("thumbnails"), "roles/run.invoker", "service", "scanner"',
        'account_id("media"), "roles/run.invoker", "service", "scanner"',
    ),
    Mistake(
        "thumbnails does not wait for its scanner's grant",
        "cloud_functions",
        "            found.append(self._scanner.invoker)\n",
        "            pass\n",
    ),
    Mistake(
        "thumbnails is told of no scanner",
        "cloud_functions",
        '{"SCANNER": scanner.uri} if scanner else {}',
        '{"SCANNER": "off"} if scanner else {}',
    ),
    Mistake("memory for half of the signatures", "scanner", '"4Gi", "1"', '"1Gi", "1"'),
    Mistake("more memory than one processor takes", "scanner", '"4Gi", "1"', '"8Gi", "1"'),
    Mistake(
        "a scanner that only a VPC reaches",
        "scanner",
        '"INGRESS_TRAFFIC_ALL"',
        '"INGRESS_TRAFFIC_INTERNAL_ONLY"',
    ),
    Mistake(
        "signatures are renewed without a processor", "scanner", "cpu_idle=False", "cpu_idle=True"
    ),
    Mistake(
        "a mirror that could be public",
        "scanner",
        'public_access_prevention="enforced"',
        'public_access_prevention="inherited"',
    ),
    Mistake(
        "the scanner may write to its mirror",
        "grants",
        '"roles/storage.objectViewer", "bucket", "signatures"',
        '"roles/storage.objectUser", "bucket", "signatures"',
    ),
    Mistake(
        "the scanner may delete uploads",
        "grants",
        '("scanner", "roles/storage.objectViewer", "bucket", "inbox"',
        '("scanner", "roles/storage.objectUser", "bucket", "inbox"',
    ),
    Mistake(
        "the scanner may not read its mirror",
        "grants",
        '    ("scanner", "roles/storage.objectViewer", "bucket", "signatures", "takes signatures"),\n',
        "",
    ),
    Mistake(
        "the scanner as the default account",
        "scanner",
        '                service_account=self._accounts.of["scanner"].email,\n',
        "",
    ),
    Mistake(
        "the job as the scanner",
        "scanner",
        'self._accounts.of["mirror"].email',
        'self._accounts.of["scanner"].email',
    ),
    Mistake(
        "the service starts from an empty mirror",
        "scanner",
        "            run_execution_token=_suffix(self._settings.scanner_image),\n",
        "",
    ),
    Mistake(
        "the service does not wait for the mirror",
        "scanner",
        "after=[*opened, self._job]",
        "after=opened",
    ),
    Mistake(
        "nobody may run the job",
        "grants",
        '"roles/run.invoker", "job"',
        '"roles/run.viewer", "job"',
    ),
    Mistake("an ID token for an API of Google's", "scanner", "oauth_token=", "oidc_token="),
    Mistake("the schedule runs another job", "scanner", "/jobs/{JOB}:run", "/jobs/mirror:run"),
    Mistake("ClamAV is asked every hour", "scanner", '"43 4,16 * * *"', '"43 * * * *"'),
    Mistake(
        "no start is long enough to load signatures",
        "scanner",
        "_STARTUP_TRIES = 10, 24",
        "_STARTUP_TRIES = 10, 3",
    ),
    Mistake(
        "a longer start than Cloud Run gives",
        "scanner",
        "_STARTUP_TRIES = 10, 24",
        "_STARTUP_TRIES = 10, 60",
    ),
    Mistake(
        "a scan is cut off while somebody waits", "scanner", "_TIMEOUT = 200\n", "_TIMEOUT = 60\n"
    ),
    Mistake("no thread is left for the probes", "scanner", "_CONCURRENCY + 2", "_CONCURRENCY"),
    Mistake(
        "a stack that cannot be destroyed",
        "scanner",
        '            ),\n            deletion_protection=False,\n            opts=self._apis.options(self, "run", after=[*opened',
        '            ),\n            opts=self._apis.options(self, "run", after=[*opened',
    ),
    Mistake(
        "the scanner is not told of the inbox",
        "scanner",
        '            "INBOX_BUCKET": bucket_name(project, "inbox"),\n',
        "",
    ),
    Mistake(
        "old signatures are told of to nobody",
        "observability",
        '_own("snaptask_old_signatures")',
        '_own("snaptask_signatures_old")',
    ),
)
