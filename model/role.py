"""Roles: what a person may be, and no others (who has which: accounts of the console, `[operators]` on the socket)."""

from __future__ import annotations

from enum import StrEnum

from model.codes import Word


class Role(StrEnum):
    """What a person is at the desk. Nobody is both officer and approver."""

    OPERATOR = "operator"
    SUPERVISOR = "supervisor"
    OFFICER = "officer"
    APPROVER = "approver"
    TECHNICIAN = "technician"
    AUDITOR = "auditor"
    ADMIN = "admin"


ROLE_WORDS: dict[Role, Word] = {
    Role.OPERATOR: Word("operator", "接警员"),
    Role.SUPERVISOR: Word("supervisor", "值班长"),
    Role.OFFICER: Word("officer", "民警"),
    Role.APPROVER: Word("approver", "审批人"),
    Role.TECHNICIAN: Word("technician", "安装技师"),
    Role.AUDITOR: Word("auditor", "审计员"),
    Role.ADMIN: Word("administrator", "系统管理员"),
}
