"""The commands and their options. What a command needs is imported when it runs, so that
``--help`` comes up at once."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from wherry import __version__
from wherry.cli.output import Output

app = typer.Typer(
    name="wherry",
    help="From raw shop events to live, tested recommendations, on one machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 1 a verdict failed, 2 wrong use, 3 something broke.",
)

keys = typer.Typer(
    help="The keys of the server: who may send events, who may ask.", no_args_is_help=True
)
app.add_typer(keys, name="keys")
replay = typer.Typer(help="Read again what the log keeps, after a fix.", no_args_is_help=True)
app.add_typer(replay, name="replay")

ProjectOption = Annotated[
    Path, typer.Option("--project", "-C", help="The project's folder, or one inside it.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]
TenantOption = Annotated[str, typer.Option("--tenant", help="The tenant, where there are several.")]
WaitOption = Annotated[
    float, typer.Option("--wait", min=0, help="Seconds to queue behind another writer.")
]

_HERE = Path()


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"wherry {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The folder of the new project.")] = _HERE,
    json: JsonOption = False,
) -> None:
    """Make a new project."""
    from wherry.cli import commands

    commands.init(folder, Output(as_json=json))


@app.command("import")
def import_(
    source: Annotated[str, typer.Argument(help="A preset, or a mapping of wherry.toml.")],
    files: Annotated[list[str], typer.Argument(help="Files, or patterns with *.")],
    tenant: TenantOption = "default",
    wait: WaitOption = 0.0,
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """Import files of events, or of a catalogue, into the log."""
    from wherry.cli import commands

    commands.import_files(project, source, files, tenant, wait, Output(as_json=json))


@app.command()
def run(
    start: Annotated[str, typer.Option("--from", help="Do this stage and the later ones.")] = "",
    only: Annotated[str, typer.Option("--only", help="Do this stage alone.")] = "",
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Rebuild every derived table from the log.")
    ] = False,
    wait: WaitOption = 0.0,
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """Load, transform, audit, publish, learn, behave, release: whatever is new."""
    from wherry.cli import commands

    code = commands.run(project, start, only, full_refresh, wait, Output(as_json=json))
    raise typer.Exit(code)


@app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0 takes a free one.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, max=256, help="Processes; 0 makes one for each core.")
    ] = None,
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """Answer recommendations over HTTP, and take events in."""
    from wherry.cli import commands

    commands.serve(project, host, port, workers, Output(as_json=json))


@app.command()
def bench(
    seconds: Annotated[float, typer.Option(min=10, max=3600, help="How long to take.")] = 60.0,
    p99: Annotated[
        float, typer.Option(min=0.1, max=10_000, help="What it has to stay below, milliseconds.")
    ] = 5.0,
    workers: Annotated[
        int | None, typer.Option(min=0, max=256, help="Processes; 0 makes one for each core.")
    ] = None,
    tenant: TenantOption = "default",
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """Measure how many recommendations a second this machine gives."""
    from wherry.cli import benching

    benching.bench(project, seconds, p99, workers, tenant, Output(as_json=json))


@app.command()
def collect(
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0 takes a free one.")] = None,
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """Take events in over HTTP, and answer nothing else."""
    from wherry.cli import commands

    commands.collect(project, host, port, Output(as_json=json))


@app.command()
def recommend(
    items: Annotated[list[str] | None, typer.Argument(help="A session, the latest last.")] = None,
    k: Annotated[int | None, typer.Option("-k", help="How many items.")] = None,
    why: Annotated[bool, typer.Option("--why", help="Say why each is recommended.")] = False,
    tenant: TenantOption = "default",
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """Recommend the next items of a session."""
    from wherry.cli import commands

    commands.recommend(project, items or [], k, why, tenant, Output(as_json=json))


@app.command()
def precompute(
    of: Annotated[str, typer.Option("--of", help="items or visitors; else both.")] = "",
    k: Annotated[int, typer.Option("-k", "--k", help="How many items a list.")] = 20,
    tenant: TenantOption = "default",
    wait: WaitOption = 0.0,
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """Make the champion's list for every visitor and item, for the server and other systems."""
    from wherry.cli import precomputing

    precomputing.precompute(project, of, k, tenant, wait, Output(as_json=json))


@app.command()
def status(project: ProjectOption = _HERE, json: JsonOption = False) -> None:
    """Say where the project stands."""
    from wherry.cli import commands

    commands.status(project, Output(as_json=json))


@app.command()
def outcomes(
    by: Annotated[
        str,
        typer.Option("--by", help="model, day, position, session, source or category."),
    ] = "model",
    days: Annotated[int, typer.Option("--days", min=1, help="How many of the newest days.")] = 28,
    tenant: TenantOption = "default",
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """Say what came of the answers: clicks, purchases, revenue, ranks, with intervals."""
    from wherry.cli import outcomes as command

    command.outcomes(project, by, days, tenant, Output(as_json=json))


@app.command()
def skew(
    sample: Annotated[
        int, typer.Option("--sample", min=1, help="How many logged answers to draw.")
    ] = 1_000,
    days: Annotated[int, typer.Option("--days", min=1, help="Of how many of the newest days.")] = 1,
    seed: Annotated[int, typer.Option("--seed", help="Another seed draws others.")] = 1,
    tenant: TenantOption = "default",
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """Compute logged answers again offline: every difference, and its cause."""
    from wherry.cli import skew as command

    code = command.skew(project, sample, days, seed, tenant, Output(as_json=json))
    raise typer.Exit(code)


@app.command()
def releases(
    tenant: TenantOption = "default", project: ProjectOption = _HERE, json: JsonOption = False
) -> None:
    """List the releases, the newest first."""
    from wherry.cli import commands

    commands.releases(project, tenant, Output(as_json=json))


@app.command()
def release(
    version: Annotated[str, typer.Argument(help="A version, or NAME@VERSION.")],
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Answer unseen, to be compared.")
    ] = False,
    canary: Annotated[str, typer.Option(help="Answer this share of the visitors: 10%.")] = "",
    ab: Annotated[
        bool, typer.Option("--ab", help="Answer half of the visitors, to learn which is better.")
    ] = False,
    share: Annotated[str, typer.Option(help="Another share for --shadow or --ab.")] = "",
    tenant: TenantOption = "default",
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """Try a release on live traffic beside the champion; a running server follows."""
    from wherry.cli import releasing

    output = Output(as_json=json)
    releasing.release(project, version, shadow, canary, ab, share, tenant, output)


@app.command()
def promote(
    tenant: TenantOption = "default", project: ProjectOption = _HERE, json: JsonOption = False
) -> None:
    """Make what is being tried the champion."""
    from wherry.cli import releasing

    releasing.promote(project, tenant, Output(as_json=json))


@app.command()
def rollback(
    to: Annotated[int | None, typer.Option("--to", help="The version to go back to.")] = None,
    tenant: TenantOption = "default",
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """End what is being tried, or else make an earlier release the champion again."""
    from wherry.cli import releasing

    releasing.rollback(project, to, tenant, Output(as_json=json))


@app.command()
def rollout(
    guard: Annotated[
        bool, typer.Option("--guard", help="Stop what is found worse, as the server does.")
    ] = False,
    tenant: TenantOption = "default",
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """Say how what is being tried does beside the champion."""
    from wherry.cli import releasing

    raise typer.Exit(releasing.rollout(project, guard, tenant, Output(as_json=json)))


@app.command()
def decisions(
    tenant: TenantOption = "default", project: ProjectOption = _HERE, json: JsonOption = False
) -> None:
    """Say who decided what about the releases, when and why, the newest first."""
    from wherry.cli import releasing

    releasing.decisions(project, tenant, Output(as_json=json))


@app.command()
def reproduce(
    release: Annotated[
        str, typer.Argument(help="NAME@VERSION, or a name alone for its champion.")
    ] = "",
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """Build a release anew from its data and recipe, and say what came out otherwise."""
    from wherry.cli import commands

    raise typer.Exit(commands.reproduce(project, release, Output(as_json=json)))


@app.command()
def card(
    run_id: Annotated[str, typer.Argument(help="A run; by default the newest.")] = "",
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """Say where the card of a run lies: one HTML page."""
    from wherry.cli import commands

    commands.card(project, run_id, Output(as_json=json))


@keys.command("make")
def keys_make(
    kind: Annotated[str, typer.Argument(help="write: sends events; read: asks for answers.")],
    tenant: TenantOption = "default",
    label: Annotated[str, typer.Option(help="A word to know it by in the list.")] = "",
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """Make a key, which is shown this once."""
    from wherry.cli import keys

    keys.make(project, kind, tenant, label, Output(as_json=json))


@keys.command("list")
def keys_list(project: ProjectOption = _HERE, json: JsonOption = False) -> None:
    """List the keys: how each begins, whose it is, and since when."""
    from wherry.cli import keys

    keys.list_keys(project, Output(as_json=json))


@keys.command("revoke")
def keys_revoke(
    key: Annotated[str, typer.Argument(help="How the key begins, as the list shows it.")],
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """Revoke a key; a running server knows within a second."""
    from wherry.cli import keys

    keys.revoke(project, key, Output(as_json=json))


@replay.command("rejected")
def replay_rejected(
    reason: Annotated[str, typer.Option(help="Only rows whose reason holds this.")] = "",
    wait: WaitOption = 0.0,
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """Read rejected events again; take those that now pass."""
    from wherry.cli import replaying

    replaying.replay_rejected(project, reason, wait, Output(as_json=json))


@app.command()
def forget(
    visitors: Annotated[list[str], typer.Argument(help="Visitor ids, as the events have them.")],
    tenant: TenantOption = "default",
    wait: WaitOption = 0.0,
    project: ProjectOption = _HERE,
    json: JsonOption = False,
) -> None:
    """Remove persons from the log, from every table, file and old snapshot."""
    from wherry.cli import forgetting

    forgetting.forget(project, visitors, tenant, wait, Output(as_json=json))


@app.command()
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


@app.command()
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


@app.command()
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


@app.command()
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
