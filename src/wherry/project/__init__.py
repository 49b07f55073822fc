"""The project: everything that Wherry does, behind one object.

>>> from wherry.project import Project
>>> project = Project.create(folder / "shop")
>>> project.run().passed
"""

from wherry.project.home import Home, find_home
from wherry.project.project import Project, ProjectStatus, TenantState, utc_now

__all__ = ["Home", "Project", "ProjectStatus", "TenantState", "find_home", "utc_now"]
