"""The commands and their options. What a command needs is imported when it runs, so that
``--help`` comes up at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wherry import __version__
from wherry.cli.options import HERE, JsonOption, ProjectOption, TenantOption, WaitOption
from wherry.cli.output import Output
from wherry.cli.trial import trial

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
    folder: Annotated[Path, typer.Argument(help="The folder of the new project.")] = HERE,
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
    project: ProjectOption = HERE,
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
    project: ProjectOption = HERE,
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
    project: ProjectOption = HERE,
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
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Measure how many recommendations a second this machine gives."""
    from wherry.cli import benching

    benching.bench(project, seconds, p99, workers, tenant, Output(as_json=json))


@app.command()
def collect(
    host: Annotated[str | None, typer.Option(help="The address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0 takes a free one.")] = None,
    project: ProjectOption = HERE,
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
    project: ProjectOption = HERE,
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
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Make the champion's list for every visitor and item, for the server and other systems."""
    from wherry.cli import precomputing

    precomputing.precompute(project, of, k, tenant, wait, Output(as_json=json))


@app.command()
def status(project: ProjectOption = HERE, json: JsonOption = False) -> None:
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
    project: ProjectOption = HERE,
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
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Compute logged answers again offline: every difference, and its cause."""
    from wherry.cli import skew as command

    code = command.skew(project, sample, days, seed, tenant, Output(as_json=json))
    raise typer.Exit(code)


@app.command()
def releases(
    tenant: TenantOption = "default", project: ProjectOption = HERE, json: JsonOption = False
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
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Try a release on live traffic beside the champion; a running server follows."""
    from wherry.cli import releasing

    output = Output(as_json=json)
    releasing.release(project, version, shadow, canary, ab, share, tenant, output)


@app.command()
def promote(
    tenant: TenantOption = "default", project: ProjectOption = HERE, json: JsonOption = False
) -> None:
    """Make what is being tried the champion."""
    from wherry.cli import releasing

    releasing.promote(project, tenant, Output(as_json=json))


@app.command()
def rollback(
    to: Annotated[int | None, typer.Option("--to", help="The version to go back to.")] = None,
    tenant: TenantOption = "default",
    project: ProjectOption = HERE,
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
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Say how what is being tried does beside the champion."""
    from wherry.cli import releasing

    raise typer.Exit(releasing.rollout(project, guard, tenant, Output(as_json=json)))


@app.command()
def decisions(
    last: Annotated[int, typer.Option(min=1, help="How many to list; JSON has all.")] = 20,
    tenant: TenantOption = "default",
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Say who decided what about the releases, when and why, the newest first."""
    from wherry.cli import releasing

    releasing.decisions(project, last, tenant, Output(as_json=json))


@app.command()
def reproduce(
    release: Annotated[
        str, typer.Argument(help="NAME@VERSION, or a name alone for its champion.")
    ] = "",
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Build a release anew from its data and recipe, and say what came out otherwise."""
    from wherry.cli import commands

    raise typer.Exit(commands.reproduce(project, release, Output(as_json=json)))


@app.command()
def card(
    run_id: Annotated[str, typer.Argument(help="A run; by default the newest.")] = "",
    project: ProjectOption = HERE,
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
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Make a key, which is shown this once."""
    from wherry.cli import keys

    keys.make(project, kind, tenant, label, Output(as_json=json))


@keys.command("list")
def keys_list(project: ProjectOption = HERE, json: JsonOption = False) -> None:
    """List the keys: how each begins, whose it is, and since when."""
    from wherry.cli import keys

    keys.list_keys(project, Output(as_json=json))


@keys.command("revoke")
def keys_revoke(
    key: Annotated[str, typer.Argument(help="How the key begins, as the list shows it.")],
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Revoke a key; a running server knows within a second."""
    from wherry.cli import keys

    keys.revoke(project, key, Output(as_json=json))


@replay.command("rejected")
def replay_rejected(
    reason: Annotated[str, typer.Option(help="Only rows whose reason holds this.")] = "",
    wait: WaitOption = 0.0,
    project: ProjectOption = HERE,
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
    project: ProjectOption = HERE,
    json: JsonOption = False,
) -> None:
    """Remove persons from the log, from every table, file and old snapshot."""
    from wherry.cli import forgetting

    forgetting.forget(project, visitors, tenant, wait, Output(as_json=json))


app.add_typer(trial)
