"""The load balancer in front of a domain: the gateway's paths, HTTPS, and limits per address.

Functions answer only through it then, and the web app stands beside them under one origin.
Renditions stay on their signed URLs: they are private, live five minutes and are cached by the
browser, so a CDN would need a second way to sign.
"""

from __future__ import annotations

import pulumi
from pulumi_gcp import compute

from infra.apis import APIs
from infra.cloud_functions import Functions
from infra.declaration import DECLARATION, Function
from infra.pages import PLACES
from infra.settings import Settings
from infra.web_app import WebApp

# Requests a minute from one address: a page of pictures takes about 60, a family shares one.
_PER_MINUTE = 600
# Signing in costs a core 22 ms; nobody types faster than this.
_SIGN_IN_PER_MINUTE = 30
_EVERYBODY = 2_147_483_647
_Rule = compute.URLMapPathMatcherRouteRuleArgs
_Match = compute.URLMapPathMatcherRouteRuleMatchRuleArgs
_Rewrite = compute.URLMapPathMatcherRouteRuleRouteActionUrlRewriteArgs


class Edge(pulumi.ComponentResource):
    def __init__(
        self, settings: Settings, apis: APIs, functions: Functions, web: WebApp | None
    ) -> None:
        super().__init__("snaptask:infra:Edge", "edge")
        self._web = web
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
        # What no rule takes is 404 by the first function, in the API's own error shape.
        default = backends[routed[0].name].id
        rules = [_to_function(one, backends[one.name].id) for one in routed]
        if self._web:
            rules += _to_web_app(self._web, default)
        for number, rule in enumerate(rules, start=1):
            rule.priority = number
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


def _to_function(declared: Function, service: pulumi.Input[str]) -> _Rule:
    """/api/<route>/rest reaches the function as /rest, as the local gateway does it."""
    return _rule(
        service,
        _Match(prefix_match=f"/api/{declared.route}/"),
        rewrite=_Rewrite(path_prefix_rewrite="/"),
    )


def _to_web_app(web: WebApp, default: pulumi.Input[str]) -> list[_Rule]:
    """The app's places are its page, other paths below / are files. A bucket that may not be listed
    answers 403 for what it does not have; the visitor gets the page, which says that there is no
    such place, with a 404."""
    fixed = [place for place in PLACES if "{" not in place]
    templates = [place for place in PLACES if "{" in place]
    missing = compute.URLMapPathMatcherRouteRuleCustomErrorResponsePolicyArgs(
        error_service=web.backend.self_link,
        error_response_rules=[
            compute.URLMapPathMatcherRouteRuleCustomErrorResponsePolicyErrorResponseRuleArgs(
                match_response_codes=["4xx"], path=web.page, override_response_code=404
            )
        ],
    )
    return [
        _rule(web.backend.id, _Match(full_path_match="/api/docs")),
        _rule(default, _Match(prefix_match="/api/"), _Match(full_path_match="/health")),
        _rule(
            web.backend.id,
            *(_Match(full_path_match=place) for place in fixed),
            rewrite=_Rewrite(path_prefix_rewrite=web.page),
        ),
        _rule(
            web.backend.id,
            *(_Match(path_template_match=place) for place in templates),
            rewrite=_Rewrite(path_template_rewrite=web.page),
        ),
        _rule(web.backend.id, _Match(prefix_match="/"), missing=missing),
    ]


def _rule(
    service: pulumi.Input[str],
    *matches: _Match,
    rewrite: _Rewrite | None = None,
    missing: compute.URLMapPathMatcherRouteRuleCustomErrorResponsePolicyArgs | None = None,
) -> _Rule:
    action = compute.URLMapPathMatcherRouteRuleRouteActionArgs(url_rewrite=rewrite)
    return _Rule(
        priority=0,
        service=service,
        match_rules=list(matches),
        route_action=action if rewrite else None,
        custom_error_response_policy=missing,
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
