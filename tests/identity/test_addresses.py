"""Which e-mail addresses are taken, and when two are the same."""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import SMTPUTF8

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.identity.addresses import address_key, checked_address


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" ada@example.org\n", "ada@example.org"),
        ("Ada.Lovelace+x@EXAMPLE.org", "Ada.Lovelace+x@example.org"),
        ("o'neil@example.co.uk", "o'neil@example.co.uk"),
        ("jose\u0301@example.org", "jos\u00e9@example.org"),
        ("用户@example.org", "用户@example.org"),
        ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
        (f"{'a' * 64}@example.org", f"{'a' * 64}@example.org"),
    ],
)
def test_an_address_is_kept_as_it_was_typed_but_for_form(typed: str, kept: str) -> None:
    assert checked_address(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "@",
        "ada",
        "ada@",
        "@example.org",
        "ada@localhost",
        "ada@example.",
        "ada@.org",
        "ada@exa mple.org",
        "ada@-example.org",
        "ada@example-.org",
        "ada@127.0.0.1",
        "ada@[127.0.0.1]",
        "ada@exämple.org",
        "ada@еxample.org",  # A Cyrillic letter that looks like an e.
        "ada@example\u3002org",
        "ada @example.org",
        "ada@bob@example.org",
        '"ada"@example.org',
        "ada,bob@example.org",
        "Ada <ada@example.org>",
        ".ada@example.org",
        "ada.@example.org",
        "a..b@example.org",
        "ada\r\nBcc: eve@example.org",
        "ada\0@example.org",
        "=?utf-8?q?=0A?=@example.org",
        "=?utf-8?q?ada=2Ceve=40evil.example?=@example.org",
        "ada.=?utf-8?b?YQ==?=@example.org",
        "ada\u202e@example.org",
        "ada\u00a0b@example.org",
        f"{'a' * 65}@example.org",
        f"{'é' * 33}@example.org",
        f"ada@{'a' * 64}.org",
        f"{'a' * 64}@{'.'.join(['b' * 60] * 4)}.org",
        # 254 characters are 255 octets here.
        f"{'a' * 62}é@{'.'.join([*['b' * 60] * 3, 'c' * 3])}.org",
    ],
)
def test_what_no_mail_would_reach_is_refused(typed: str) -> None:
    with pytest.raises(ValueError):
        checked_address(typed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada@example.org", "ADA@Example.Org"),
        ("josé@example.org", "JOSE\u0301@example.org"),
        # There is a small j with a caron and no capital one.
        ("\u01f0@example.org", "J\u030c@example.org"),
    ],
)
def test_case_and_composition_make_no_other_person(one: str, other: str) -> None:
    assert address_key(checked_address(one)) == address_key(checked_address(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada@example.org", "ada+x@example.org"),
        ("ada@example.org", "a.da@example.org"),
        ("strasse@example.org", "straße@example.org"),
        ("mike@example.org", "mıke@example.org"),
    ],
)
def test_different_mailboxes_stay_different(one: str, other: str) -> None:
    assert address_key(checked_address(one)) != address_key(checked_address(other))


# What encoded words are made of, which is rare among all texts.
LOCALS = st.lists(st.sampled_from(["a", "é", "=?utf-8?q?", "=2C", "?="]), min_size=3)


@given(LOCALS.map("".join))
def test_a_header_says_no_other_address_than_was_taken(local: str) -> None:
    try:
        kept = checked_address(f"{local}@example.org")
    except ValueError:
        return
    message = EmailMessage(policy=SMTPUTF8)
    message["To"] = kept
    assert [one.addr_spec for one in message["To"].addresses] == [kept]
    assert message.as_bytes().decode() == f"To: {kept}\r\n\r\n"


@given(st.text(max_size=80))
def test_whatever_is_taken_is_taken_again_unchanged(typed: str) -> None:
    try:
        kept = checked_address(typed)
    except ValueError:
        return
    assert checked_address(kept) == kept
    assert address_key(address_key(kept)) == address_key(kept)
    assert kept.isprintable()
