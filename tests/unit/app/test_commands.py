"""The commands that look without running."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.app.cli import main

ROOT = Path(__file__).parents[3]
WORKFLOW = str(ROOT / "workflows" / "text_to_image.json")


def test_validate_counts_nodes_and_outputs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", WORKFLOW]) == 0
    assert capsys.readouterr().out.endswith("8 nodes, 1 outputs, no faults\n")


def test_convert_writes_a_prompt_that_validates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["convert", WORKFLOW]) == 0
    prompt = json.loads(capsys.readouterr().out)
    assert prompt["3"]["class_type"] == "KSampler"
    assert prompt["3"]["inputs"]["model"] == ["4", 0]
    path = tmp_path / "prompt.json"
    path.write_text(json.dumps(prompt))
    assert main(["validate", str(path)]) == 0


def test_nodes_lists_all_and_describes_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nodes"]) == 0
    assert "KSamplerAdvanced" in capsys.readouterr().out
    assert main(["nodes", "EmptyLatentImage"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["input"]["required"]["width"][0] == "INT"
    assert described["output"] == ["LATENT"]


def test_an_unknown_node_suggests_near_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nodes", "KSampla"]) == 2
    assert "KSampler" in capsys.readouterr().err


def test_inspect_says_what_a_file_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(ROOT / "models" / "checkpoints" / "easel-demo.safetensors")]) == 0
    out = capsys.readouterr().out
    assert "checkpoint, SD 1.x" in out
    assert "F16" in out


def test_inspect_of_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "gone.safetensors"]) == 2
    assert "gone.safetensors" in capsys.readouterr().err


def test_an_unknown_measurement_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "nothing"]) == 2
    message = capsys.readouterr().err
    assert all(part in message for part in ("executor or start or sampling", "cascade", "memory or server"))


def test_usage_errors_exit_with_two(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["paint"],
        ["run"],
        ["run", WORKFLOW, "--repeat", "0"],
        ["run", WORKFLOW, "--cache-memory", "x"],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_server_process_never_imports_torch() -> None:
    code = "import sys, engine.app.commands.serve; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
