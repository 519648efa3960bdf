"""`account`: who signs in to the console."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lucheng.cli import output
from lucheng.cli.choose import changing, reading
from lucheng.cli.device_commands import file_bytes
from lucheng.cli.frame import command, group, place
from lucheng.cli.read_commands import Json, Limit, Times
from lucheng.cli.texts import text
from model.errors import BadInput, NotFound

account = group("account")

User = Annotated[str, typer.Argument(help=text("account.user"), metavar="USER")]
PasswordFile = Annotated[
    str, typer.Option("--password-file", help=text("account.password_file"), metavar="FILE", show_default=False)
]
_COLUMNS = ("user", "name", "role", "enabled", "signed_in", "sessions", "failures", "locked_s", "changed", "changed_by")
_PAGE_ROWS = 100
_MAX_PASSWORD_BYTES = 2_048
#: Four groups of five letters and digits without those that look alike: 98 bits.
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP_CHARS = 4, 5


def made_password() -> str:
    """A password that nobody guesses and everybody can type."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(_GROUP_CHARS)) for _ in range(_GROUPS))


def _password(path: str) -> tuple[str, bool]:
    """The password of a file, else one that is made; and whether it was. Never from the command line, which others see."""
    if not path:
        return made_password(), True
    raw = (
        sys.stdin.buffer.readline(_MAX_PASSWORD_BYTES)
        if path == "-"
        else file_bytes(Path(path), _MAX_PASSWORD_BYTES, "")
    )
    try:
        return raw.decode().split("\n", 1)[0].rstrip("\r"), False
    except UnicodeDecodeError as error:
        raise BadInput("The password is not UTF-8.", mend="Save the file as UTF-8.") from error


@account.command("list", help=text("account.list"))
@command
def account_list(
    context: typer.Context,
    *,
    after: Annotated[str, typer.Option("--after", help=text("account.user"), metavar="USER")] = "",
    limit: Limit = _PAGE_ROWS,
    as_json: Json = False,
) -> None:
    with reading(place(context)) as client:
        rows = client.call("account_list", after=after, limit=limit)
        if as_json:
            output.as_json(rows)
        else:
            output.table(_COLUMNS, rows, made=Times(client).localised)


@account.command("add", help=text("account.add"))
@command
def account_add(
    context: typer.Context,
    *,
    user: User,
    role: Annotated[str, typer.Option("--role", help=text("account.role_option"))],
    name: Annotated[str, typer.Option("--name", help=text("account.name"))] = "",
    language: Annotated[str, typer.Option("--language", help=text("account.language"))] = "",
    password_file: PasswordFile = "",
    as_json: Json = False,
) -> None:
    password, made = _password(password_file)
    with changing(place(context)) as client:
        done = client.call("account_add", user=user, role=role, password=password, name=name, language=language)
    _told(done, password if made else "", as_json=as_json)


@account.command("role", help=text("account.role"))
@command
def account_role(
    context: typer.Context,
    *,
    user: User,
    role: Annotated[str, typer.Argument(help=text("account.role_option"), metavar="ROLE")],
    as_json: Json = False,
) -> None:
    with changing(place(context)) as client:
        _told(client.call("account_role", user=user, role=role), "", as_json=as_json)


@account.command("password", help=text("account.password"))
@command
def account_password(
    context: typer.Context, *, user: User, password_file: PasswordFile = "", as_json: Json = False
) -> None:
    password, made = _password(password_file)
    with changing(place(context)) as client:
        done = client.call("account_password", user=user, password=password)
    _told(done, password if made else "", as_json=as_json)


@account.command("disable", help=text("account.disable"))
@command
def account_disable(context: typer.Context, *, user: User, as_json: Json = False) -> None:
    with changing(place(context)) as client:
        done = client.call("account_disable", user=user)
    output.as_json(done) if as_json else typer.echo(text("account.off", user=user))


@account.command("enable", help=text("account.enable"))
@command
def account_enable(context: typer.Context, *, user: User, as_json: Json = False) -> None:
    with changing(place(context)) as client:
        done = client.call("account_enable", user=user)
    output.as_json(done) if as_json else typer.echo(text("account.on", user=user))


@account.command("setup-token", help=text("account.setup_token"))
@command
def setup_token(context: typer.Context) -> None:
    from console.setup_token import known_setup_token  # noqa: PLC0415 used by this alone

    token = known_setup_token(place(context).data_dir)
    if not token:
        raise NotFound(
            "No token is waited for.", mend="Start the service; where there are accounts: `lucheng account add`."
        )
    typer.echo(token)


def _told(done: dict[str, Any], password: str, *, as_json: bool) -> None:
    if as_json:
        output.as_json({**done, "password": password} if password else done)
        return
    typer.echo(text("account.done", user=done["user"], role=done["role"]))
    if password:
        typer.echo(text("account.made_password", user=done["user"], password=password))
