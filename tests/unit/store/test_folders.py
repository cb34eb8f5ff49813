"""Model folders: the community's kinds, its extra lists, and names that stay inside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.foundation.settings import settings_under
from engine.store.confine import PathError
from engine.store.folders import FolderError, folders


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_files_are_listed_with_subfolders_and_known_suffixes_only(tmp_path: Path) -> None:
    for name in ("b.safetensors", "sub/a.ckpt", "readme.txt", ".hidden/x.ckpt"):
        touch(tmp_path / "models" / "checkpoints" / name)
    assert folders(settings_under(tmp_path)).list("checkpoints") == ("b.safetensors", "sub/a.ckpt")


def test_old_and_new_names_of_a_kind_are_one(tmp_path: Path) -> None:
    touch(tmp_path / "models" / "unet" / "a.safetensors")
    touch(tmp_path / "models" / "diffusion_models" / "b.safetensors")
    found = folders(settings_under(tmp_path))
    assert found.list("unet") == found.list("diffusion_models") == ("a.safetensors", "b.safetensors")


def test_extra_lists_add_folders_and_may_come_first(tmp_path: Path) -> None:
    own = touch(tmp_path / "models" / "vae" / "same.pt")
    other = touch(tmp_path / "elsewhere" / "VAE" / "same.pt")
    touch(tmp_path / "elsewhere" / "more" / "extra.safetensors")
    config = tmp_path / "extra.yaml"
    text = f"a111:\n  base_path: {tmp_path}/elsewhere\n  vae: VAE\n  loras: |\n    more\n    nothing\n"
    config.write_text(text)
    settings = replace(settings_under(tmp_path), extra_model_paths=(config,))
    assert folders(settings).find("vae", "same.pt") == own
    assert folders(settings).list("loras") == ("extra.safetensors",)
    config.write_text(text.replace("a111:\n", "a111:\n  is_default: true\n"))
    assert folders(settings).find("vae", "same.pt") == other


def test_paths_in_an_extra_list_are_relative_to_it(tmp_path: Path) -> None:
    touch(tmp_path / "lists" / "my" / "x.safetensors")
    config = tmp_path / "lists" / "extra.yaml"
    config.write_text("mine:\n  checkpoints: my\n")
    settings = replace(settings_under(tmp_path), extra_model_paths=(config,))
    assert folders(settings).list("checkpoints") == ("x.safetensors",)


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "a: 5", "\t"])
def test_a_damaged_extra_list_is_named(tmp_path: Path, text: str) -> None:
    config = tmp_path / "extra.yaml"
    config.write_text(text)
    with pytest.raises(FolderError, match=r"extra\.yaml"):
        folders(replace(settings_under(tmp_path), extra_model_paths=(config,)))


def test_a_missing_file_says_which_there_are(tmp_path: Path) -> None:
    touch(tmp_path / "models" / "loras" / "here.safetensors")
    with pytest.raises(
        FolderError, match=r"no such file in loras: got gone\.safetensors\. There are: here\.safetensors"
    ):
        folders(settings_under(tmp_path)).find("loras", "gone.safetensors")


def test_a_picture_may_come_from_the_output_folder(tmp_path: Path) -> None:
    picture = touch(tmp_path / "output" / "a.png")
    assert folders(settings_under(tmp_path)).find("input", "a.png [output]") == picture


def test_names_that_climb_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "secret.png")
    with pytest.raises(PathError):
        folders(settings_under(tmp_path)).find("input", "../secret.png")


def test_a_fingerprint_changes_with_the_file(tmp_path: Path) -> None:
    path = touch(tmp_path / "models" / "vae" / "a.pt")
    found = folders(settings_under(tmp_path))
    before = found.fingerprint("vae", "a.pt")
    path.write_bytes(b"more")
    assert found.fingerprint("vae", "a.pt") != before
    assert found.fingerprint("vae", "gone.pt") == ""


def test_a_model_file_may_be_a_link_to_elsewhere_but_a_picture_may_not(tmp_path: Path) -> None:
    target = touch(tmp_path / "big_disk" / "model.safetensors")
    (tmp_path / "models" / "vae").mkdir(parents=True)
    (tmp_path / "models" / "vae" / "linked.safetensors").symlink_to(target)
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "linked.png").symlink_to(target)
    found = folders(settings_under(tmp_path))
    assert found.find("vae", "linked.safetensors").resolve() == target.resolve()
    with pytest.raises(PathError):
        found.find("input", "linked.png")


def test_an_upload_in_a_subfolder_and_a_result_are_accepted_but_not_listed(tmp_path: Path) -> None:
    for name in ("input/a.png", "input/sub/b.png", "output/c.png", "input/notes.txt", "secret.png"):
        touch(tmp_path / name)
    offered = folders(settings_under(tmp_path)).list("input")
    assert list(offered) == ["a.png"]
    for name in ("a.png", "sub/b.png", "c.png [output]", "sub/b.png [input]"):
        assert name in offered
    for name in ("../secret.png", "c.png", "notes.txt", "sub/../../secret.png", "/etc/hostname", "", "c.png [temp]", 5):
        assert name not in offered


@pytest.mark.parametrize("kind", ["input", "checkpoints"])
def test_a_name_that_no_disk_can_hold_is_a_missing_file(tmp_path: Path, kind: str) -> None:
    with pytest.raises(FolderError):
        folders(settings_under(tmp_path)).find(kind, "x" * 300)
    assert folders(settings_under(tmp_path)).fingerprint(kind, "x" * 300) == ""


@pytest.mark.parametrize("kind", ["input", "checkpoints"])
def test_a_link_to_itself_is_no_file(tmp_path: Path, kind: str) -> None:
    found = folders(settings_under(tmp_path))
    root = found.roots[kind][0]
    root.mkdir(parents=True)
    (root / "loop.png").symlink_to(root / "loop.png")
    with pytest.raises((FolderError, PathError)):
        found.find(kind, "loop.png")


def test_links_that_lead_back_up_are_entered_once(tmp_path: Path) -> None:
    root = tmp_path / "models" / "checkpoints"
    touch(root / "sub" / "a.safetensors")
    for number in range(8):
        (root / "sub" / f"up{number}").symlink_to(root)
    assert folders(settings_under(tmp_path)).list("checkpoints") == ("sub/a.safetensors",)
