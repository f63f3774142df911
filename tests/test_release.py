"""What stands against a release, and that a signature says what it seems to say."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def release() -> ModuleType:
    path = Path(__file__).parent.parent / "scripts/release"
    loader = SourceFileLoader("release", str(path))
    spec = importlib.util.spec_from_loader("release", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def git(root: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small project that may be released."""
    root = tmp_path / "tree"
    (root / "src/hilum").mkdir(parents=True)
    (root / "pyproject.toml").write_text('[project]\nname = "hilum"\nversion = "1.2.0"\n')
    (root / "src/hilum/__init__.py").write_text('__version__ = "1.2.0"\n')
    (root / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.0\n\n- all of it\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "All of it")
    return root


def test_a_tree_that_is_ready_is_not_refused(release: ModuleType, tree: Path) -> None:
    assert release.checked_version(tree) == "1.2.0"


def test_a_tree_with_changes_is_refused(release: ModuleType, tree: Path) -> None:
    (tree / "new.txt").touch()
    for rehearse in (False, True):
        with pytest.raises(release.Refused, match=r"changes \(\?\? new.txt\)"):
            release.checked_version(tree, rehearse=rehearse)


def test_a_version_that_stands_twice_and_differs_is_refused(
    release: ModuleType, tree: Path
) -> None:
    (tree / "src/hilum/__init__.py").write_text('__version__ = "1.1.0"\n')
    git(tree, "commit", "-qam", "Another")
    with pytest.raises(release.Refused, match=r"hilum\.__version__ another"):
        release.checked_version(tree)


def test_a_version_that_the_changelog_does_not_know_is_refused(
    release: ModuleType, tree: Path
) -> None:
    (tree / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n## 1.2\n")
    git(tree, "commit", "-qam", "Not yet")
    with pytest.raises(release.Refused, match=r"no heading '## 1\.2\.0'"):
        release.checked_version(tree)
    assert release.checked_version(tree, rehearse=True) == "1.2.0"


def test_a_version_with_a_tag_is_refused(release: ModuleType, tree: Path) -> None:
    git(tree, "tag", "v1.2.0")
    with pytest.raises(release.Refused, match=r"v1\.2\.0 exists"):
        release.checked_version(tree)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen on this machine")
def test_a_signature_holds_until_a_file_or_the_list_is_changed(
    release: ModuleType, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    files = [tmp_path / name for name in ("b.whl", "a.tar.gz")]
    for each in files:
        each.write_text(each.name)
    sums = tmp_path / release.SUMS
    release.write_sums(files, sums)
    assert [line.split("  ")[1] for line in sums.read_text().splitlines()] == ["a.tar.gz", "b.whl"]
    release.sign(sums, key)
    release.verify(sums)
    files[0].write_text("another wheel")
    with pytest.raises(release.Refused, match=r"b\.whl: another file"):
        release.verify(sums)
    release.write_sums(files, sums)
    with pytest.raises(release.Refused, match="the signature does not hold"):
        release.verify(sums)
