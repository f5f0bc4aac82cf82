"""Command for settings: set-option."""

import click

from oneapi.actions import SYSTEM, options
from oneapi.cli.opening import plainly, ready_state


@click.command("set-option")
@click.argument("key")
@click.argument("value")
@plainly
def set_option(key: str, value: str) -> None:
    """Store a setting, e.g. `flask set-option ServerAddress https://gw.example.com`; docs/settings.md lists the keys."""
    options.save(ready_state(), SYSTEM, {key: value})
    click.echo(f"{key} is stored; running processes use it within 2 seconds.")
