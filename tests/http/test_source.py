"""Whose request it is: what a client writes about himself counts for nothing."""

from __future__ import annotations

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder

from shared.http import App, Model, Routes, Source
from shared.http.source import source_of


def network(forwarded: str | None, proxies: int, remote: str = "169.254.1.1") -> str:
    environ = {"REMOTE_ADDR": remote}
    if forwarded is not None:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    return source_of(environ, proxies).network


@pytest.mark.parametrize(
    ("forwarded", "proxies", "seen"),
    [
        ("203.0.113.7", 1, "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7", 1, "203.0.113.7"),
        ("198.51.100.1,203.0.113.7", 1, "203.0.113.7"),
        # Behind a balancer its own address comes last.
        ("203.0.113.7, 192.0.2.1", 2, "203.0.113.7"),
        ("198.51.100.1, 203.0.113.7, 192.0.2.1", 2, "203.0.113.7"),
        # A thousand claims move nothing.
        (", ".join(["198.51.100.1"] * 1000 + ["203.0.113.7"]), 1, "203.0.113.7"),
        (",,,, 203.0.113.7", 1, "203.0.113.7"),
        ("evil\t\0, 203.0.113.7", 1, "203.0.113.7"),
    ],
)
def test_the_entry_that_counts_is_found_from_the_end(
    forwarded: str, proxies: int, seen: str
) -> None:
    assert network(forwarded, proxies) == seen


@pytest.mark.parametrize("forwarded", [None, "", "203.0.113.7", " , "])
def test_with_fewer_entries_than_proxies_the_connection_itself_counts(
    forwarded: str | None,
) -> None:
    assert network(forwarded, 2) == "169.254.1.1"


def test_without_a_proxy_no_header_is_believed() -> None:
    assert network("203.0.113.7", 0) == "169.254.1.1"


def test_an_ipv6_customer_is_one_source_however_he_hops() -> None:
    hops = {
        network(text, 1)
        for text in (
            "2001:db8:1:2::1",
            "2001:DB8:1:2:ffff:ffff:ffff:ffff",
            "2001:0db8:0001:0002::9%eth0",
            "2001:db8:1:2::9%anything",
        )
    }
    assert hops == {"2001:db8:1:2::/64"}
    assert network("2001:db8:1:3::1", 1) == "2001:db8:1:3::/64"


def test_an_ipv4_address_in_the_form_of_the_sixth_is_itself() -> None:
    assert network("::ffff:203.0.113.7", 1) == "203.0.113.7"


@pytest.mark.parametrize(
    "nonsense", ["localhost", "203.0.113.007", "203.0.113.7:80", "1", "1.2.3", "x" * 10_000, "☃"]
)
def test_all_that_make_no_sense_are_one_source(nonsense: str) -> None:
    assert network(nonsense, 1) == "unknown"


class Seen(Model):
    network: str


def test_a_handler_is_told_the_source_as_its_app_knows_it() -> None:
    table = Routes(tag="t")

    @table.get("/who")
    def who(source: Source) -> Seen:
        """Say it."""
        return Seen(network=source.network)

    def ask(app: App) -> str:
        headers = {"X-Forwarded-For": "198.51.100.1, 203.0.113.7, 192.0.2.1"}
        environ = EnvironBuilder("/who", headers=headers).get_environ()
        environ["REMOTE_ADDR"] = "127.0.0.1"
        return str(app(Request(environ)).get_json()["network"])

    assert ask(App("t", table)) == "127.0.0.1"
    assert ask(App("t", table, proxies=1)) == "192.0.2.1"
    assert ask(App("t", table, proxies=2)) == "203.0.113.7"


def test_a_source_that_may_be_missing_or_comes_twice_means_nothing() -> None:
    table = Routes(tag="t")

    def twice(one: Source, two: Source) -> Seen:
        """No."""
        raise AssertionError

    def maybe(one: Source | None = None) -> Seen:
        """No."""
        raise AssertionError

    for handler in (twice, maybe):
        with pytest.raises(TypeError, match="one Source"):
            table.get("/x")(handler)
