"""Mails to people whose quota runs low: once at each crossing of the threshold, and once more when all is used up."""

import logging

from oneapi import notify
from oneapi.actions import amount
from oneapi.models import account, ledger
from oneapi.models.user import User
from oneapi.notify import MailError
from oneapi.state import State

log = logging.getLogger(__name__)

WITHIN = 86400  # seconds after use: who falls below the threshold while mails cannot be sent is told later


def remind(state: State) -> int:
    """Mail whoever fell below the threshold, or to nothing, since they were last told; returns how many."""
    threshold, mails = state.settings.quota_remind_threshold, 0
    with state.databases.transaction() as session:
        account.forget_reminders(session, threshold)
        low = account.to_remind(session, threshold, since=int(state.clock()) - WITHIN)
        leased = ledger.leased(session, "user", [row.id for row in low]) if low else {}
    for row in low:
        left = row.quota + leased.get(row.id, 0)
        if left >= threshold or (row.reminded_at_quota is not None and left > 0):
            continue
        with state.databases.transaction() as session:
            first = account.reminded(session, row.id, left, was=row.reminded_at_quota)
        if not first:
            continue
        try:
            _remind(state, row, left)
            mails += 1
        except MailError as error:
            log.warning("reminders: user=%d was not told: %s", row.id, error)
            if not error.lasting:  # the server is away: everybody next time
                with state.databases.transaction() as session:
                    account.bind(session, row.id, reminded_at_quota=row.reminded_at_quota)
                break
    return mails


def _remind(state: State, row: User, left: int) -> None:
    event, link = "low_balance" if left > 0 else "no_balance", notify.link(state, "/topup")
    notify.mail(state, row.email or "", event, row.language or "", left=amount(state, left), link=link)
