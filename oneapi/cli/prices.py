"""Command for the price book: price-book."""

from datetime import date

import click

from oneapi.actions import pricebook


@click.command("price-book")
@click.option("--day", default=lambda: date.today().isoformat(), help="The day whose prices are taken; today when left out.")
def price_book(day: str) -> None:
    """Regenerate the built-in price book from the installed genai-prices data set."""
    try:
        date.fromisoformat(day)
    except ValueError:
        raise click.ClickException(f"{day!r} is not a day such as 2026-12-01.") from None
    click.echo(f"{pricebook.write(day)} models are priced by name in {pricebook.PLACE}.")
