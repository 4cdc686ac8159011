"""What the mails say. Links come from configuration alone: a Host header would be the client's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Letter = Literal[
    "verify",
    "known",
    "reset",
    "change",
    "taken",
    "password-changed",
    "email-changed",
    "account-erased",
    "identity-linked",
    "identity-unlinked",
]
_IGNORE = "If that was not you, ignore this mail: nothing happens without the link."
_HELP = "If that was not you, set a new password at once: {app}/#forgot-password"
_SUBJECTS: Mapping[Letter, str] = {
    "verify": "Confirm your address for Snaptask",
    "known": "You have a Snaptask account already",
    "reset": "Set a new password for Snaptask",
    "change": "Confirm your new address for Snaptask",
    "taken": "This address has a Snaptask account already",
    "password-changed": "Your Snaptask password was changed",
    "email-changed": "Your Snaptask address was changed",
    "account-erased": "Your Snaptask account is being erased",
    "identity-linked": "Another way to sign in to Snaptask",
    "identity-unlinked": "One way less to sign in to Snaptask",
}
_TEXTS: Mapping[Letter, str] = {
    "verify": (
        "Somebody signed up for Snaptask with this address. To confirm that it is yours, open\n\n"
        "{app}/#verify-email={token}\n\n"
        "within two days and give the password that you chose.\n\n" + _IGNORE
    ),
    "known": (
        "Somebody signed up for Snaptask with this address, which has an account already.\n\n"
        "Sign in: {app}/\nForgot the password: {app}/#forgot-password\n\n"
        "If that was not you, ignore this mail: nothing was changed."
    ),
    "reset": (
        "Somebody asked to set a new password for your Snaptask account. Within an hour you can "
        "do so at\n\n{app}/#reset-password={token}\n\n" + _IGNORE
    ),
    "change": (
        "To use this address for your Snaptask account from now on, open within two hours\n\n"
        "{app}/#change-email={token}\n\n" + _IGNORE
    ),
    "taken": (
        "Somebody wanted to use this address for another Snaptask account. It has one already, "
        "and keeps it; nothing was changed."
    ),
    "password-changed": (
        "The password of your Snaptask account was changed, and all other devices were signed "
        "out.\n\n" + _HELP
    ),
    "email-changed": (
        "Your Snaptask account has another address from now on; this one is no longer its own."
    ),
    "account-erased": (
        "As you asked, your Snaptask account and all that is in it are being erased. You are "
        "signed out everywhere, and this is the last mail."
    ),
    "identity-linked": (
        "From now on an account at another provider signs in to your Snaptask account too. Which "
        "one is shown, and can be unlinked, at\n\n{app}/account\n\n" + _HELP
    ),
    "identity-unlinked": (
        "An account at another provider signs in to your Snaptask account no more, and all other "
        "devices were signed out.\n\n" + _HELP
    ),
}


def subject(letter: Letter) -> str:
    return _SUBJECTS[letter]


def text(letter: Letter, app_url: str, token: str = "") -> str:
    return _TEXTS[letter].format(app=app_url, token=token) + "\n"
