"""Video files: what is written is read back, and what is no video, or too much of one, is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.store.videos import CODECS, Clip, Sound, VideoError, encode_video, read_texts, read_video

TEXTS = {"prompt": '{"1": "größer"}', "workflow": "x" * 5000}


def frames(count: int = 5, height: int = 64, width: int = 96) -> list[NDArray[np.uint8]]:
    """A grey that grows brighter, with a white corner."""
    made = [np.full((height, width, 3), 30 * number, np.uint8) for number in range(count)]
    for frame in made:
        frame[: height // 2, : width // 2] = 250
    return made


def tone(rate: int = 16_000, seconds: float = 1.0) -> Sound:
    wave = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)
    return Sound(np.stack([wave, -wave]).astype(np.float32), rate)


def written(folder: Path, clip: Clip, codec: str) -> Path:
    path = folder / f"a.{CODECS[codec].container}"
    path.write_bytes(encode_video(clip, TEXTS, codec, None if codec == "h264" else 20))
    return path


@pytest.mark.parametrize("codec", ["h264", "vp9"])
def test_frames_come_back_as_they_were_but_for_what_the_codec_loses(tmp_path: Path, codec: str) -> None:
    clip = read_video(written(tmp_path, Clip(frames(), 7.5), codec))
    assert (len(clip.frames), clip.fps, clip.sound) == (5, 7.5, None)
    difference = np.abs(np.stack(clip.frames).astype(int) - np.stack(frames()))
    assert difference.mean() < 3


def test_av1_keeps_every_frame(tmp_path: Path) -> None:
    clip = read_video(written(tmp_path, Clip(frames(3), 24.0), "av1"))
    assert [round(int(frame[-1, -1, 0]) / 30) for frame in clip.frames] == [0, 1, 2]


@pytest.mark.parametrize("codec", ["h264", "vp9"])
def test_texts_stand_in_the_container(tmp_path: Path, codec: str) -> None:
    texts = read_texts(written(tmp_path, Clip(frames(2), 8.0), codec))
    assert {name: texts[name] for name in TEXTS} == TEXTS


@pytest.mark.parametrize(("codec", "rate"), [("h264", 16_000), ("vp9", 48_000)])
def test_sound_goes_along(tmp_path: Path, codec: str, rate: int) -> None:
    sound = read_video(written(tmp_path, Clip(frames(8), 8.0, tone()), codec)).sound
    assert sound is not None
    assert (sound.rate, len(sound.samples)) == (rate, 2)
    assert sound.samples.shape[1] / rate == pytest.approx(1, abs=0.1)
    assert np.sqrt(np.mean(sound.samples**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


def test_an_uneven_row_and_column_are_left_out(tmp_path: Path) -> None:
    clip = read_video(written(tmp_path, Clip(frames(2, 65, 97), 8.0), "h264"))
    assert clip.frames[0].shape == (64, 96, 3)


def test_frames_too_small_for_a_video_are_refused() -> None:
    with pytest.raises(VideoError, match="too small for a video: expected 2 x 2 pixels"):
        encode_video(Clip(frames(2, 1, 4), 8.0), {}, "h264")


def test_a_playlist_under_the_name_of_a_video_is_not_followed(tmp_path: Path) -> None:
    target = written(tmp_path, Clip(frames(2), 8.0), "h264")
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:10", "#EXTINF:10,", target.as_uri(), "#EXT-X-ENDLIST"]
    (tmp_path / "b.mp4").write_text("\n".join(lines))
    with pytest.raises(VideoError, match=r"b\.mp4: this video cannot be read"):
        read_video(tmp_path / "b.mp4")


def test_a_file_that_is_cut_short_is_told_without_its_folder(tmp_path: Path) -> None:
    path = written(tmp_path, Clip(frames(), 8.0), "h264")
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(VideoError, match=r"^a\.mp4: this video cannot be read") as raised:
        read_video(path)
    assert str(tmp_path) not in str(raised.value)


def test_a_video_of_more_pixels_than_there_is_room_for_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, Clip(frames(5), 8.0), "h264")
    with pytest.raises(VideoError, match="too long for the memory: expected at most 4 frames of 96 x 64"):
        read_video(path, max_pixels=4 * 64 * 96)
    assert len(read_video(path, max_pixels=5 * 64 * 96).frames) == 5
