"""Commands that take channels from one installation to another: channels export, import, unseal."""

import json
import os
from pathlib import Path
from typing import Any

import click

from oneapi.actions import transfer
from oneapi.cli.opening import plainly, ready_state
from oneapi.fields import Invalid
from oneapi.messages import Refused
from oneapi.models import channel


@click.group("channels")
def channels_group() -> None:
    """Take channels from one installation to another."""


def _is_yaml(file: Path) -> bool:
    if file.suffix not in (".json", ".yaml", ".yml"):
        raise click.ClickException("Name a file that ends in .json, .yaml or .yml.")
    return file.suffix != ".json"


@channels_group.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--with-keys", is_flag=True, help="Write the vendors' keys too; keep such a file to yourself.")
@plainly
def export(file: Path, with_keys: bool) -> None:
    """Write every channel to FILE, as JSON or YAML by its ending."""
    import yaml  # here and in `_read`: no server needs it

    as_yaml = _is_yaml(file)
    found = transfer.exported(ready_state(), with_keys=with_keys)
    text = (
        yaml.safe_dump(found, allow_unicode=True, sort_keys=False) if as_yaml else json.dumps(found, ensure_ascii=False, indent=2)
    )
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as opened:
        opened.write(text.rstrip("\n") + "\n")
    click.echo(f"{len(found)} channels in {file}" + ("" if with_keys else ", without their keys"))


@channels_group.command("import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--replace", is_flag=True, help="Change a channel of the same name and type; its key stays if none is given.")
@plainly
def import_(file: Path, replace: bool) -> None:
    """Add the channels of FILE. Those that do not pass the checks are named, and the exit code is 1."""
    found, state, failed = _read(file), ready_state(), 0
    for values in found:
        try:
            transfer.take_in(state, values, replace=replace)
        except (Refused, Invalid, TypeError, ValueError) as error:
            failed += 1
            click.echo(f"{values.get('name')}: {error.text() if isinstance(error, Refused) else error}", err=True)
    click.echo(f"{len(found) - failed} of {len(found)} channels")
    if failed:
        click.get_current_context().exit(1)


def _read(file: Path) -> list[dict[str, Any]]:
    import yaml

    text = file.read_text("utf-8")
    try:
        found = yaml.safe_load(text) if _is_yaml(file) else json.loads(text)
    except (ValueError, yaml.YAMLError) as error:
        raise click.ClickException(f"{file} cannot be read: {error}") from None
    if not isinstance(found, list) or not all(isinstance(values, dict) for values in found):
        raise click.ClickException(f"{file} must hold a list of channels.")
    return found


@channels_group.command()
@plainly
def unseal() -> None:
    """Write the keys back in clear, before ENCRYPTION_KEY is given up."""
    with ready_state().databases.transaction() as session:
        opened, closed = channel.unseal_all(session)
    click.echo(f"{opened} keys are stored in clear now.")
    if closed:
        raise click.ClickException(f"{closed} keys were sealed with another ENCRYPTION_KEY and stay as they are.")
