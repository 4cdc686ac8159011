"""The load balancer in front of a domain: the gateway's paths, HTTPS, and limits per address.

Functions answer only through it then. Renditions stay on their signed URLs: they are private, live
five minutes and are cached by the browser, so a CDN would need a second way to sign.
"""

from __future__ import annotations

import pulumi
from pulumi_gcp import compute

from infra.apis import APIs
from infra.cloud_functions import Functions
from infra.declaration import DECLARATION, Function
from infra.settings import Settings

# Requests a minute from one address: a page of pictures takes about 60, a family shares one.
_PER_MINUTE = 600
# Signing in costs a core 22 ms; nobody types faster than this.
_SIGN_IN_PER_MINUTE = 30
_EVERYBODY = 2_147_483_647


class Edge(pulumi.ComponentResource):
    def __init__(self, settings: Settings, apis: APIs, functions: Functions) -> None:
        super().__init__("snaptask:infra:Edge", "edge")
        self._settings = settings
        self._apis = apis
        self._functions = functions
        armor = self._armor()
        routed = [one for one in DECLARATION.functions if one.route]
        backends = {one.name: self._backend(one, armor) for one in routed}
        self._address = compute.GlobalAddress("edge-address", opts=apis.options(self, "compute"))
        self.address = self._address.address
        urls = self._urls(routed, backends)
        self._https(urls)
        self._redirect()
        self.register_outputs({})

    def _armor(self) -> compute.SecurityPolicy:
        return compute.SecurityPolicy(
            "edge-armor",
            rules=[
                _limited(
                    1000,
                    _SIGN_IN_PER_MINUTE,
                    compute.SecurityPolicyRuleMatchArgs(
                        expr=compute.SecurityPolicyRuleMatchExprArgs(
                            expression="request.path.startsWith('/api/auth/') "
                            "&& request.method == 'POST'"
                        )
                    ),
                ),
                _limited(2000, _PER_MINUTE, _from_everywhere()),
                compute.SecurityPolicyRuleArgs(
                    action="allow", priority=_EVERYBODY, match=_from_everywhere()
                ),
            ],
            opts=self._apis.options(self, "compute"),
        )

    def _backend(self, declared: Function, armor: compute.SecurityPolicy) -> compute.BackendService:
        group = compute.RegionNetworkEndpointGroup(
            f"edge-{declared.name}",
            region=self._settings.region,
            network_endpoint_type="SERVERLESS",
            cloud_run=compute.RegionNetworkEndpointGroupCloudRunArgs(
                service=self._functions.of[declared.name].name
            ),
            opts=self._apis.options(self, "compute", "run"),
        )
        return compute.BackendService(
            f"edge-{declared.name}",
            protocol="HTTPS",
            load_balancing_scheme="EXTERNAL_MANAGED",
            security_policy=armor.self_link,
            backends=[compute.BackendServiceBackendArgs(group=group.id)],
            log_config=compute.BackendServiceLogConfigArgs(enable=True, sample_rate=0.1),
            opts=self._apis.options(self, "compute"),
        )

    def _urls(
        self, routed: list[Function], backends: dict[str, compute.BackendService]
    ) -> compute.URLMap:
        """/api/<route>/rest reaches the function as /rest, as the local gateway does it."""
        rules = [
            compute.URLMapPathMatcherRouteRuleArgs(
                priority=number,
                service=backends[one.name].id,
                match_rules=[
                    compute.URLMapPathMatcherRouteRuleMatchRuleArgs(
                        prefix_match=f"/api/{one.route}/"
                    )
                ],
                route_action=compute.URLMapPathMatcherRouteRuleRouteActionArgs(
                    url_rewrite=compute.URLMapPathMatcherRouteRuleRouteActionUrlRewriteArgs(
                        path_prefix_rewrite="/"
                    )
                ),
            )
            for number, one in enumerate(routed, start=1)
        ]
        # What no rule takes is 404 by the first function, in the API's own error shape.
        default = backends[routed[0].name].id
        return compute.URLMap(
            "edge-urls",
            default_service=default,
            host_rules=[
                compute.URLMapHostRuleArgs(hosts=[self._settings.domain], path_matcher="api")
            ],
            path_matchers=[
                compute.URLMapPathMatcherArgs(
                    name="api", default_service=default, route_rules=rules
                )
            ],
            opts=self._apis.options(self, "compute"),
        )

    def _https(self, urls: compute.URLMap) -> None:
        certificate = compute.ManagedSslCertificate(
            "edge-certificate",
            managed=compute.ManagedSslCertificateManagedArgs(domains=[self._settings.domain]),
            opts=self._apis.options(self, "compute"),
        )
        policy = compute.SSLPolicy(
            "edge-tls",
            min_tls_version="TLS_1_2",
            profile="MODERN",
            opts=self._apis.options(self, "compute"),
        )
        proxy = compute.TargetHttpsProxy(
            "edge-https",
            url_map=urls.id,
            ssl_certificates=[certificate.id],
            ssl_policy=policy.id,
            opts=self._apis.options(self, "compute"),
        )
        self._listen("edge-https", "443", proxy.id)

    def _redirect(self) -> None:
        urls = compute.URLMap(
            "edge-redirect",
            default_url_redirect=compute.URLMapDefaultUrlRedirectArgs(
                https_redirect=True, strip_query=False
            ),
            opts=self._apis.options(self, "compute"),
        )
        proxy = compute.TargetHttpProxy(
            "edge-http", url_map=urls.id, opts=self._apis.options(self, "compute")
        )
        self._listen("edge-http", "80", proxy.id)

    def _listen(self, name: str, port: str, target: pulumi.Output[str]) -> None:
        compute.GlobalForwardingRule(
            name,
            target=target,
            port_range=port,
            ip_address=self._address.address,
            load_balancing_scheme="EXTERNAL_MANAGED",
            opts=self._apis.options(self, "compute"),
        )


def _from_everywhere() -> compute.SecurityPolicyRuleMatchArgs:
    return compute.SecurityPolicyRuleMatchArgs(
        versioned_expr="SRC_IPS_V1",
        config=compute.SecurityPolicyRuleMatchConfigArgs(src_ip_ranges=["*"]),
    )


def _limited(
    priority: int, count: int, match: compute.SecurityPolicyRuleMatchArgs
) -> compute.SecurityPolicyRuleArgs:
    return compute.SecurityPolicyRuleArgs(
        action="throttle",
        priority=priority,
        match=match,
        rate_limit_options=compute.SecurityPolicyRuleRateLimitOptionsArgs(
            conform_action="allow",
            exceed_action="deny(429)",
            enforce_on_key="IP",
            rate_limit_threshold=compute.SecurityPolicyRuleRateLimitOptionsRateLimitThresholdArgs(
                count=count, interval_sec=60
            ),
        ),
    )
