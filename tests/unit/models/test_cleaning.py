"""Captions are cleaned by the published rules: those of diffusers' pipeline, without what mends broken encodings."""

from __future__ import annotations

from types import SimpleNamespace

import diffusers.pipelines.deepfloyd_if.pipeline_if as oracle
import pytest

from engine.models.text.cleaning import _without_tags, cleaned

CAPTIONS = [
    "A Photo of a <b>CAT</b> &amp; dog",
    "see http://example.com/a/b?x now",
    "hello@you www.site.com x",
    "photo-of-my-cute-cat-today-x",
    "“quoted” ‘it’s’ — dash",
    "IMG_1234.jpg a cat",
    "#123 #123456 1234567 free shipping worldwide",
    "***SALE*** click for more page 12",
    "640x480 jc6640vc cat , dog.bird",
    "漢字 cat",
    "  .hidden",
    "a cat ... dog : x",
    "<person> walking 192.168.0.1",
    "a+b%20c",
    "cat download free jpg images",
    "a  lot\tof\nspace",
    "",
    "100% (a:1.2) [b]",
]


@pytest.mark.parametrize("caption", CAPTIONS)
def test_captions_become_what_diffusers_makes_of_them(caption: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        oracle, "BeautifulSoup", lambda text, features: SimpleNamespace(text=_without_tags(text)), raising=False
    )
    monkeypatch.setattr(oracle, "ftfy", SimpleNamespace(fix_text=str), raising=False)
    rules = SimpleNamespace(bad_punct_regex=oracle.IFPipeline.bad_punct_regex)
    once = oracle.IFPipeline._clean_caption(rules, caption)
    assert cleaned(caption) == oracle.IFPipeline._clean_caption(rules, once)


def test_words_alone_are_only_lower_cased() -> None:
    assert cleaned("A large Red circle above a blue star") == "a large red circle above a blue star"


def test_tags_and_entities_go() -> None:
    assert _without_tags("a <b class='x'>red</b> &lt;circle") == "a red <circle"
