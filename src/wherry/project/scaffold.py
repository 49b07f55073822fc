"""A new project: the files that ``wherry init`` writes."""

from __future__ import annotations

import re
from pathlib import Path

from wherry.errors import ProjectError
from wherry.project.home import Home
from wherry.transform import scaffold as scaffold_transforms

_SETTINGS = """\
# The settings of this shop. Every key and its default: docs/settings.md.
shop = "{shop}"

# Files that every `wherry run` looks at; one that was loaded before adds nothing.
# `import` names a preset (retailrocket, rees46, coveo, online-retail, complete-journey, wherry)
# or a mapping of your own below.
# [[sources]]
# import = "mine"
# path = "data/*.csv"

# [imports.mine]
# event_type = {{ column = "event", values = {{ transaction = "purchase" }} }}
# occurred_at = "timestamp"
# visitor_id = "user"
# item_id = "product"

[sessions]
gap_minutes = 30

[audit]
max_rejected_share = 0.05

[learn]
candidates = ["popularity", "rules", "knn"]

[behave]
baseline = "popularity"
margin = 0.02
"""

_IGNORED = ".wherry/\n"

_MODELS = """\
# Models of your own

A Python file here with a class that follows `wherry.learn.model.Model` is a candidate: add its
`name` to `[learn] candidates` in `wherry.toml`. Put it through the contract first:

    from wherry.testing import check_model
    check_model(MyModel)
"""

_BEHAVIOUR = """\
# Checks of your own

Every function here whose name begins with `check_` is called with a `wherry.behave.Subject`
before a release, and returns a `Check`. One that fails blocks the release.

    from wherry.behave import Check, Query, Subject

    def check_answers_a_known_session(subject: Subject) -> Check:
        shown = subject.answerer.answer(Query(session=["some item"], k=5))
        return Check(name="answers a known session", passed=len(shown.items) == 5)
"""


def scaffold(folder: Path, *, shop: str = "") -> Home:
    """Write a new project into a folder, which is made where it is missing.

    Raises:
        ProjectError: If there is a project in it already.
    """
    home = Home(folder.resolve())
    if home.settings.exists():
        raise ProjectError(f"There is a project in {folder} already ({home.settings}).")
    if folder.exists() and not folder.is_dir():
        raise ProjectError(f"{folder} is a file. Name a folder, new or empty.")
    home.root.mkdir(parents=True, exist_ok=True)
    name = shop or re.sub(r"[^\w -]", "", home.root.name) or "shop"
    for path, text in {
        home.root / ".gitignore": _IGNORED,
        home.models / "README.md": _MODELS,
        home.behaviour / "README.md": _BEHAVIOUR,
        home.settings: _SETTINGS.format(shop=name),
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(text, encoding="utf-8")
    scaffold_transforms(home.transforms)
    return home
