"""Reproducing a release: the same data, recipe and seed again, and what came out otherwise."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from wherry.domain import Release, TenantId
from wherry.errors import LakeError
from wherry.lake import Lake
from wherry.learn.answer import CONTENT
from wherry.learn.dataset import Dataset, read_dataset
from wherry.learn.fit import assemble
from wherry.learn.metrics import evaluate
from wherry.learn.models import OWN_CODE, find_model, load_own_models
from wherry.learn.plan import test_instances
from wherry.learn.split import split
from wherry.project.training import read_catalogue
from wherry.project.versions import package_versions

_OURS = ("model", "catalogue", "vocabulary.json", "popularity.npy", "answer.json", CONTENT)
"""What of a release's folder a rebuild makes; the rest says where it came from."""

_TIMES = "curve.json"
"""A training curve tells seconds, which are never the same twice."""

DEFAULT_TOLERANCE = 0.02
"""How far a metric may lie from the released one, relatively, where arrays need not be equal."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was compared: what it was then, and what it is now.

    ``decides`` is false of what explains a difference and is none itself, such as a package's
    version.
    """

    name: str
    then: str
    now: str
    is_same: bool
    decides: bool = False


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a rebuild: ``is_same`` if everything that decides is."""

    release: str
    tenant: TenantId
    model: str
    is_same: bool
    findings: tuple[Finding, ...]

    @property
    def differences(self) -> tuple[Finding, ...]:
        """What is not as it was."""
        return tuple(each for each in self.findings if not each.is_same)


def reproduce(release: Release, folder: Path, lake: Lake, *, code: str) -> Reproduction:
    """Build a release anew from its snapshot, its recipe and its seed, and compare.

    ``folder`` is where the release lies, ``code`` the version of the project's code now. The
    arrays of most models must be the same, byte for byte. A model that declares a
    ``tolerance`` (the neural ones: sums of floats depend on the machine) is judged by its
    metrics on the same test window where its arrays differ.
    """
    findings = [_said("code", release.code, code)]
    now = package_versions()
    for name in sorted(release.packages.keys() | now.keys()):
        then = release.packages.get(name, "not recorded")
        findings.append(_said(f"package {name}", then, now.get(name, "not installed")))
    findings += _rebuild(release, folder, lake)
    return Reproduction(
        release=f"{release.name}@{release.version}",
        tenant=release.tenant,
        model=release.model,
        is_same=all(each.is_same for each in findings if each.decides),
        findings=tuple(findings),
    )


def _rebuild(release: Release, folder: Path, lake: Lake) -> list[Finding]:
    then = f"snapshot {release.snapshot}"
    recipe = release.learned_with
    if recipe is None:
        return [_decided("settings", "not recorded: released by an earlier version", "unknown")]
    try:
        with lake.reader(release.snapshot) as con:
            dataset = read_dataset(
                con,
                release.tenant,
                history_days=recipe.history_days,
                min_session_length=recipe.min_session_length,
            )
            facts = read_catalogue(con, release.tenant)
    except LakeError as error:
        why = str(error).splitlines()[0]
        return [_decided("data", then, f"gone: [lake] retention_days has passed ({why})")]
    own = load_own_models(folder / OWN_CODE)
    answerer = assemble(
        dataset,
        facts,
        release.model,
        release.params,
        seed=release.seed,
        own=own,
        hide_purchased=recipe.hide_purchased,
        content=recipe.content,
    )
    findings = [_decided("data", then, then)]
    with TemporaryDirectory() as place:
        answerer.save(Path(place))
        findings += _compare_files(folder, Path(place))
    differing = [each for each in findings if not each.is_same]
    tolerance = float(getattr(answerer.model, "tolerance", 0.0))
    if differing and tolerance:
        findings = [msgspec.structs.replace(each, decides=False) for each in findings]
        findings += _compare_metrics(release, dataset, own, tolerance)
    return findings


def _compare_files(then: Path, now: Path) -> list[Finding]:
    names = sorted(
        {
            str(file.relative_to(root))
            for root in (then, now)
            for part in _OURS
            for file in ((root / part).rglob("*") if (root / part).is_dir() else [root / part])
            if file.is_file() and file.name != _TIMES
        }
    )
    findings = []
    for name in names:
        missing = [root for root in (then, now) if not (root / name).is_file()]
        if missing:
            words = ["missing" if root in missing else "there" for root in (then, now)]
            findings.append(_decided(f"file {name}", *words))
        elif (then / name).read_bytes() != (now / name).read_bytes():
            findings.append(_decided(f"file {name}", "released", "other bytes"))
    if not findings:
        findings.append(_decided("files", f"{len(names)} of them", f"{len(names)} of them"))
    return findings


def _compare_metrics(
    release: Release, dataset: Dataset, own: dict[str, type], tolerance: float
) -> list[Finding]:
    recipe = release.learned_with
    assert recipe is not None
    window = split(dataset.sessions, test_fraction=recipe.test_share)
    model = find_model(release.model, own)(**release.params).fit(window.train, seed=release.seed)
    questions = test_instances(window, max_sessions=recipe.max_test_sessions, seed=release.seed)
    figures = evaluate(model, questions, popularity=window.train.item_counts())
    findings = []
    for name in ("hr@20", "mrr@20", "ndcg@20"):
        if name not in release.metrics:
            continue
        then, now = release.metrics[name].value, figures.estimate(name).value
        is_near = abs(now - then) <= tolerance * max(abs(then), 1e-9)
        findings.append(
            Finding(
                name=f"{name} (within {tolerance:.0%})",
                then=f"{then:.4f}",
                now=f"{now:.4f}",
                is_same=is_near,
                decides=True,
            )
        )
    return findings


def _said(name: str, then: str, now: str) -> Finding:
    return Finding(name=name, then=then, now=now, is_same=then == now)


def _decided(name: str, then: str, now: str) -> Finding:
    return Finding(name=name, then=then, now=now, is_same=then == now, decides=True)
