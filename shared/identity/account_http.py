"""The routes of an account: its address, its password, its end."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.errors import Conflict, TooManyRequests, Unauthenticated
from shared.http import Principal, Reply, Routes, Source
from shared.identity.accounts import Accounts
from shared.identity.attempts import Attempts
from shared.identity.export import Export
from shared.identity.model import (
    AddressGiven,
    Confirmation,
    EmailChange,
    ExportView,
    LinkFollowed,
    NewPassword,
    PasswordChange,
    UserChange,
    UserView,
    Verification,
)


def add_account_routes(
    routes: Routes, accounts: Accounts, attempts: Attempts, export: Export
) -> None:
    @routes.post("/verify-email", errors=(Unauthenticated, Conflict, TooManyRequests))
    def verify_email(body: Verification, source: Source) -> None:
        """Confirm the address with the mailed token and the password."""
        accounts.verify(body, source)

    @routes.post("/password-reset", status=202, errors=(TooManyRequests,))
    def request_reset(body: AddressGiven, source: Source) -> None:
        """Have a link mailed by which a new password can be set, if the address has an account."""
        accounts.request_reset(body.email, source)

    @routes.post("/password-reset/confirm", errors=(Conflict, TooManyRequests))
    def confirm_reset(body: NewPassword, source: Source) -> None:
        """Set a new password with the mailed token; ends every session."""
        accounts.reset(body, source)

    @routes.patch("/me")
    def rename(body: UserChange, caller: Principal) -> UserView:
        """Change what the caller calls himself."""
        return accounts.rename(caller, body)

    @routes.post("/password", errors=(Conflict, TooManyRequests))
    def change_password(body: PasswordChange, caller: Principal) -> None:
        """Change the caller's password; ends all his other sessions."""
        accounts.change_password(caller, body)

    @routes.post("/email", status=202, errors=(Conflict, TooManyRequests))
    def request_email(body: EmailChange, caller: Principal, source: Source) -> None:
        """Have a link mailed to another address, by which it becomes the caller's."""
        accounts.request_email(caller, body, source)

    @routes.post("/email/confirm", errors=(Conflict, TooManyRequests))
    def change_email(body: LinkFollowed, source: Source) -> None:
        """Take the other address with the token mailed to it."""
        accounts.change_email(body.token, source)

    @routes.post("/export", errors=(TooManyRequests,))
    def export_all(caller: Principal) -> Reply[ExportView]:
        """Read everything that is stored about the caller."""
        attempts.export(caller.user)
        return Reply(export.of(caller.user, datetime.now(UTC)))

    @routes.delete("/me", status=202, errors=(Conflict, TooManyRequests))
    def erase(body: Confirmation, caller: Principal) -> None:
        """Erase the caller's account with all that is in it; ends every session at once.

        What was done on tasks of others stays in their history, under an id that leads to nobody.
        """
        accounts.erase(caller, body.password)
