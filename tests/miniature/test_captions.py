import re

import pytest
import torch

from featurelens.miniature import captions, world

WEB = world.sample("web", torch.arange(3000))
TEXTS = captions.captions(WEB)


def _words(kind, name):
    return captions.synonyms()[kind, name]


def test_every_caption_names_its_object_and_no_other():
    for text, number in zip(TEXTS, WEB.object.tolist(), strict=True):
        padded = f" {text} "
        for other, name in enumerate(world.names("object")):
            here = any(re.search(rf"\b{word}\b", padded) for word in _words("object", name))
            assert here == (other == number), text


def test_attributes_are_true_where_named_and_dropped_where_not_shown():
    styles = world.table("styles").set_index("name")
    named = 0
    for row, text in enumerate(TEXTS):
        style = world.names("style")[WEB.style[row]]
        for number, scene in enumerate(world.names("scene")):
            if any(phrase in text for phrase in _words("scene", scene)):
                named += 1
                assert number == WEB.scene[row] and styles.shows_scene[style] == 1, text
    assert 0.2 < named / len(TEXTS) < 0.8


def test_captions_do_not_depend_on_the_batch_and_vary():
    assert captions.captions(WEB[slice(700, 705)]) == TEXTS[700:705]
    assert len(set(TEXTS)) > 0.5 * len(TEXTS)
    assert not any("  " in text or ", ," in text or text.endswith(",") or "{" in text for text in TEXTS)
    assert not any(re.search(r"\ba [aeiou]", text) for text in TEXTS)


def test_tokens_know_every_word_of_the_world():
    tokens_NL = captions.tokenize(TEXTS)
    assert tokens_NL.shape == (len(TEXTS), captions.CONTEXT)
    assert not (tokens_NL == captions.UNKNOWN).any()
    assert max(len(text.split()) for text in TEXTS) <= captions.CONTEXT
    words = {token: word for word, token in captions.vocabulary().items()}
    assert " ".join(words[t] for t in tokens_NL[5].tolist() if t) == TEXTS[5]


def test_a_caption_without_a_known_word_is_refused():
    with pytest.raises(ValueError, match="no known word in caption 'xyzzy'"):
        captions.tokenize(["a house", "xyzzy"])
    with pytest.raises(KeyError, match="did you mean umbrella"):
        captions.word("umbrela")
