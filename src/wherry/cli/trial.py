"""The commands by which a shop, a server or the whole of it is tried out."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from wherry.cli.options import JsonOption
from wherry.cli.output import Output

trial = typer.Typer()


@trial.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="Where the Parquet files go.")],
    events: Annotated[int, typer.Option(min=1, help="About how many events.")] = 1_000_000,
    days: Annotated[int, typer.Option(min=1, help="Over how many days.")] = 90,
    start: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="The first day, UTC.")
    ] = datetime(2026, 1, 1),
    tenants: Annotated[str, typer.Option(help="Names of tenants, with commas.")] = "default",
    sessions: Annotated[bool, typer.Option("--sessions", help="Give sessions an id.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same shop.")] = 1,
    json: JsonOption = False,
) -> None:
    """Make a click stream of a shop that does not exist, with the shape of a real one."""
    from wherry.cli import commands

    commands.simulate(
        folder, events, days, start, tenants.split(","), sessions, seed, Output(as_json=json)
    )


@trial.command()
def pump(
    url: Annotated[str, typer.Argument(help="The server, such as http://127.0.0.1:8080.")],
    files: Annotated[
        list[str] | None, typer.Option("--from", help="Recorded events; or a pattern with *.")
    ] = None,
    source: Annotated[
        str, typer.Option("--import", help="The preset that tells the columns of --from.")
    ] = "wherry",
    events: Annotated[
        int | None, typer.Option(min=1, help="Without --from: simulate so many; else 100,000.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed simulates the same events.")] = 1,
    tenant: Annotated[str, typer.Option(help="Send the events of this tenant alone.")] = "",
    protocol: Annotated[str, typer.Option(help="native, segment, ga4 or snowplow.")] = "native",
    batch: Annotated[
        int | None, typer.Option(min=1, help="Events a request; 100, or 1 by ga4.")
    ] = None,
    connections: Annotated[int, typer.Option(min=1, help="Requests under way at once.")] = 8,
    rate: Annotated[float | None, typer.Option(help="Events a second.")] = None,
    speed: Annotated[
        str, typer.Option(help="1x as recorded, 60x faster; max as fast as answered.")
    ] = "max",
    now: Annotated[
        bool, typer.Option("--now", help="Say that events occur as they are sent.")
    ] = False,
    stop_at: Annotated[int | None, typer.Option(min=1, help="Send exactly so many events.")] = None,
    recommend: Annotated[
        float, typer.Option(min=0, max=1, help="Recommendations asked for, an event.")
    ] = 0.0,
    key: Annotated[str, typer.Option(envvar="WHERRY_KEY", help="The write key.")] = "",
    read_key: Annotated[
        str, typer.Option(envvar="WHERRY_READ_KEY", help="The key of --recommend.")
    ] = "",
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds without an answer before it gives up.")
    ] = 30.0,
    acknowledged: Annotated[
        Path | None, typer.Option(help="Write the ids of acknowledged events to this file.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Send simulated or recorded events to a server, and check and time its answers."""
    from wherry.cli.pumping import Recording, run_pump
    from wherry.simulate import Sending

    recording = Recording(tuple(files or ()), source, events, seed, tenant, stop_at)
    sending = Sending(
        protocol=protocol,
        batch=batch,
        connections=connections,
        rate=rate,
        speed=speed,
        is_stamped=now,
        recommend=recommend,
        key=key,
        read_key=read_key,
        patience=patience,
        acknowledged=acknowledged,
    )
    raise typer.Exit(run_pump(url, recording, sending, Output(as_json=json)))


@trial.command()
def shoppers(
    url: Annotated[str, typer.Argument(help="The server, such as http://127.0.0.1:8080.")],
    folder: Annotated[Path, typer.Argument(help="What wherry simulate wrote of the shop.")],
    visits: Annotated[int, typer.Option(min=1, help="How many visits are made.")] = 1_000,
    at_once: Annotated[int, typer.Option(min=1, help="Visitors in the shop at a time.")] = 32,
    rate: Annotated[
        float, typer.Option(min=0, help="Visits begun a second; 0: as there is room.")
    ] = 0.0,
    think: Annotated[
        float, typer.Option(min=0, help="Seconds that a visitor looks at a page.")
    ] = 0.0,
    k: Annotated[int, typer.Option("-k", min=1, help="Items that a page asks for.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="The same seed sends the same visitors.")] = 1,
    first: Annotated[
        int, typer.Option(min=0, help="The number of the first visit: others than before.")
    ] = 0,
    tenant: Annotated[str, typer.Option(help="Whose shop it is.")] = "default",
    key: Annotated[str, typer.Option(envvar="WHERRY_KEY", help="The write key.")] = "",
    read_key: Annotated[
        str, typer.Option(envvar="WHERRY_READ_KEY", help="The key of recommendations.")
    ] = "",
    json: JsonOption = False,
) -> None:
    """Send simulated shoppers, who answer to what they are shown, to a server of their shop."""
    from wherry.cli.shopping import run_shoppers
    from wherry.simulate import Crowd

    crowd = Crowd(
        visits=visits,
        at_once=at_once,
        rate=rate,
        think_seconds=think,
        k=k,
        seed=seed,
        first=first,
        key=key,
        read_key=read_key,
    )
    run_shoppers(url, folder, tenant, crowd, Output(as_json=json))


@trial.command()
def demo(
    shop: Annotated[
        str, typer.Option(help="clicks: a simulated shop, live; journey: a year of groceries.")
    ] = "clicks",
    folder: Annotated[Path, typer.Option(help="The shop's folder; made anew.")] = Path("demo-shop"),
    json: JsonOption = False,
) -> None:
    """Show the whole loop on a ready-made shop, down to an answer over HTTP."""
    from wherry.cli.demo import run_demo

    raise typer.Exit(run_demo(shop, folder, Output(as_json=json)))
