"""Packs are found, a broken one is told of, and the catalogue needs no torch once it is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.graph.spec import NodeSpec
from engine.plugins.catalogue import Catalogue, load_catalogue, sources_of
from engine.plugins.packs import load_packs

ROOT = Path(__file__).parents[3]
GOOD = "from engine.node import node\n\n@node('{name}')\ndef f(value: int = 0) -> int:\n    return value\n"


def test_modules_and_folders_are_packs(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(GOOD.format(name="PackOne"))
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "__init__.py").write_text("from .inner import f\n")
    (tmp_path / "two" / "inner.py").write_text(GOOD.format(name="PackTwo"))
    loaded = load_packs(tmp_path)
    assert {"PackOne", "PackTwo", "KSampler"} <= set(loaded.registry)
    assert loaded.failures == ()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import not_a_module_at_all", "ModuleNotFoundError"),
        ("x = (", "SyntaxError"),
        ("raise RuntimeError('at import')", "RuntimeError: at import"),
    ],
)
def test_a_pack_that_fails_is_told_of_and_the_rest_goes_on(tmp_path: Path, source: str, reason: str) -> None:
    (tmp_path / "bad.py").write_text(source)
    (tmp_path / "good.py").write_text(GOOD.format(name="StillHere"))
    loaded = load_packs(tmp_path)
    assert "StillHere" in loaded.registry
    (failure,) = loaded.failures
    assert failure.pack == "bad"
    assert reason in failure.reason


def test_a_name_that_clashes_keeps_its_first_owner_and_names_both(tmp_path: Path) -> None:
    (tmp_path / "thief.py").write_text(GOOD.format(name="KSampler"))
    loaded = load_packs(tmp_path)
    assert loaded.registry["KSampler"].spec.pack == "nodes.sampling"
    assert "nodes.sampling and custom_nodes.thief" in str(loaded.failures[0])


def test_the_example_pack_loads() -> None:
    loaded = load_packs(ROOT / "custom_nodes")
    assert {"ExampleTint", "ExampleSwitch"} <= set(loaded.registry)
    assert loaded.failures == ()


def catalogue() -> Catalogue:
    return Catalogue({"A": NodeSpec("A", category="x")}, ("bad: reason",))


def test_the_catalogue_is_made_once_and_again_when_a_source_changes(tmp_path: Path) -> None:
    source = tmp_path / "pack.py"
    source.write_text("1")
    made = []

    def load() -> Catalogue:
        made.append(1)
        return catalogue()

    for text in ("1", "1", "2"):
        source.write_text(text)
        assert load_catalogue(tmp_path / "cache", sources_of([source]), load) == catalogue()
    assert len(made) == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"specs": [{}], "failures": []}'])
def test_a_damaged_catalogue_is_made_again(tmp_path: Path, damage: str) -> None:
    load_catalogue(tmp_path, [], catalogue)
    (path,) = tmp_path.glob("catalogue-*.json")
    path.write_text(damage)
    assert load_catalogue(tmp_path, [], catalogue) == catalogue()
    assert json.loads(path.read_text())["specs"]


def test_validating_imports_no_torch_and_the_packs_nothing_heavier(tmp_path: Path) -> None:
    workflow = ROOT / "workflows" / "text_to_image.json"
    script = (
        "import sys; from engine.app.cli import main\n"
        f"code = main(['validate', {str(workflow)!r}, '--user-directory', {str(tmp_path)!r}])\n"
        "print('heavy:', *sorted({'transformers', 'kornia', 'scipy.stats', 'torch._dynamo'} & sys.modules.keys()))\n"
        "sys.exit(code or ('torch' in sys.modules))"
    )
    command = [sys.executable, "-c", script]
    first = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert first.returncode == 1, "the first time, the catalogue is made from the packs"
    assert first.stdout.splitlines()[-1] == "heavy:"
    assert second.returncode == 0, second.stderr
