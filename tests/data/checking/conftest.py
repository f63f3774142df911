"""The made hospital folder, looked at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.checking.made_site import make_site
from hilum.data.checking.checking import Looked
from hilum.data.checking.survey import survey
from hilum.data.cohort import Cohort
from hilum.data.fingerprints import fingerprints
from hilum.data.sources import open_source


def look(cohort: Cohort) -> Looked:
    return Looked(cohort, survey(cohort), fingerprints(cohort))


@pytest.fixture(scope="session")
def site_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_site(tmp_path_factory.mktemp("hospital"))


@pytest.fixture(scope="session")
def site(site_table: Path, tmp_path_factory: pytest.TempPathFactory) -> Looked:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return look(open_source(f"folder:{site_table}"))
