"""Recipes as data: TOML files in ``configs/``, read into a frozen dataclass and checked key by key."""

import dataclasses
import json
import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from featurelens import checks

FOLDER = Path(__file__).parent / "configs"
KINDS = ("contrastive", "finetuned", "supervised")
PRECISIONS = ("32-true", "bf16-mixed")
TEXT_FIELDS = ("title", "description", "tags")
# What changes when or how fast things happen, never the result: a run may go on with other values.
FREE = ("name", "save_every", "workers")


@dataclass(frozen=True)
class Recipe:
    """All that decides a training run, apart from the pictures and texts.

    Attributes:
        name: what the recipe is called.
        kind: ``contrastive`` (pictures and captions), ``finetuned`` (labels, from a CLIP and its zero-shot
            head) or ``supervised`` (labels, from random weights).
        model: architecture, a name that open_clip knows.
        start: weights to start from, an open_clip tag or a file; empty: random, by ``seed``.
        caption: parts of a caption, in this order: some of title, description and tags.
        epochs: passes over the pictures; what is left of an epoch after whole batches is dropped.
        batch: pictures in one optimizer step, on all devices together.
        accumulate: passes that share one step, where a batch does not fit the memory.
        lr, betas, eps, weight_decay: AdamW.
        decay_vectors: whether gains and biases (everything of one dimension) decay as well.
        warm_up: steps of linear warm-up, before cosine decay to zero.
        clip: largest gradient norm; 0: no limit.
        crop_scale: share of the picture's area that a random crop covers, from and to.
        flip: probability of a mirror image.
        rand_augment: magnitude of RandAugment with two operations; 0: none.
        precision: ``32-true`` or ``bf16-mixed``.
        channels_last: memory format of convolutions, faster on GPUs.
        seed: weights, order, crops and dropout follow from it.
        log_every: steps between rows of the metrics.
        save_every: steps between saved states; the end of an epoch is always saved.
        workers: processes that decode pictures, on each device.
    """

    name: str
    kind: str
    model: str
    epochs: int
    batch: int
    lr: float
    weight_decay: float
    warm_up: int
    start: str = ""
    caption: tuple[str, ...] = ()
    accumulate: int = 1
    betas: tuple[float, ...] = (0.9, 0.999)
    eps: float = 1e-8
    decay_vectors: bool = False
    clip: float = 0.0
    crop_scale: tuple[float, ...] = (0.9, 1.0)
    flip: float = 0.0
    rand_augment: int = 0
    precision: str = "32-true"
    channels_last: bool = False
    seed: int = 0
    log_every: int = 50
    save_every: int = 500
    workers: int = 4

    def identity(self) -> dict:
        """What the result depends on, as plain values."""
        return {key: value for key, value in self.plain().items() if key not in FREE}

    def plain(self) -> dict:
        """Keys and values, tuples as lists: what JSON keeps."""
        listed = dataclasses.asdict(self).items()
        return {key: list(value) if isinstance(value, tuple) else value for key, value in listed}


FIELDS = {field.name: field.type for field in dataclasses.fields(Recipe)}
REQUIRED = [field.name for field in dataclasses.fields(Recipe) if field.default is dataclasses.MISSING]


def names() -> list[str]:
    """Recipes that come with the library; a file name with an underscore is a base of others."""
    return sorted(path.stem for path in FOLDER.glob("*.toml") if not path.name.startswith("_"))


def read(name: str, changes: list[str] | None = None) -> Recipe:
    """Recipe by name, or from a ``.toml`` file by path, with ``key=value`` changes.

    Raises:
        UnknownNameError: no such recipe, or an unknown key (the nearest is named).
        FileNotFoundError, ValueError: no such file, not TOML, a wrong type or a value out of range.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{checks.known('recipe', name, names())}.toml"
    given = {"name": path.stem, **_values(path)}
    for change in changes or []:
        key, sign, text = change.partition("=")
        if not sign:
            raise ValueError(f"--set: expected key=value, found {change!r}")
        given[checks.known("key of a recipe", key.strip(), FIELDS)] = _value(text.strip())
    return _checked(path.stem, given)


def text(recipe: Recipe) -> str:
    """The recipe as TOML."""
    # Such values are written alike in JSON and TOML.
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in recipe.plain().items())


def _values(path: Path, heirs: tuple[Path, ...] = ()) -> dict:
    """Keys of a file, on top of those of the file that it inherits from."""
    if path in heirs:
        raise ValueError(
            f"{path.name}: expected another recipe to inherit from, found that it inherits from itself"
        )
    if not path.is_file():
        raise FileNotFoundError(f"expected a recipe, found no file {path}")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path.name}: expected TOML, found: {error}") from error
    base = values.pop("inherits", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise ValueError(f"{path.name}: inherits: expected the name of a recipe, found {base!r}")
    near = path.with_name(f"{base}.toml")
    near = near if near.is_file() else FOLDER / near.name
    return {**_values(near, (*heirs, path)), **values}


def _value(text: str) -> object:
    """A value as TOML; what is not TOML is text without quotes."""
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text


def _checked(name: str, given: dict) -> Recipe:
    """Make the recipe, or say what is wrong with it."""
    for key, value in given.items():
        if key not in FIELDS:
            near = get_close_matches(key, FIELDS, n=1, cutoff=0)[0]
            raise checks.UnknownNameError(f"{name}: unknown key {key!r}: did you mean {near}?")
        given[key] = _typed(f"{name}: {key}", FIELDS[key], value)
    if lacking := [key for key in REQUIRED if key not in given]:
        raise ValueError(f"{name}: expected a value for each key, found none for {', '.join(lacking)}")
    recipe = Recipe(**given)
    for key, (fits, expected) in _ranges(recipe).items():
        if not fits:
            raise ValueError(f"{name}: {key}: expected {expected}, found {getattr(recipe, key)!r}")
    return recipe


def _typed(where: str, kind: type, value: object) -> object:
    """``value`` if it has the type; an integer will do for a float."""
    item = {tuple[str, ...]: str, tuple[float, ...]: float}.get(kind)
    if item:
        if not isinstance(value, list):
            raise ValueError(f"{where}: expected a list, found {value!r}")
        return tuple(_typed(where, item, one) for one in value)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{where}: expected {kind.__name__}, found {value!r}")
    return value


def _ranges(r: Recipe) -> dict[str, tuple[bool, str]]:
    """For each key that has a range: whether it is kept, and what is expected."""
    positive = {key: (getattr(r, key) > 0, "a positive number") for key in ("epochs", "batch", "lr")}
    counts = ("log_every", "save_every")
    positive |= {key: (getattr(r, key) > 0, "a positive number") for key in counts}
    least = {
        key: (getattr(r, key) >= 0, "a number from 0")
        for key in ("eps", "weight_decay", "warm_up", "clip", "workers")
    }
    from_text = r.kind == "contrastive"
    parts = set(r.caption) <= set(TEXT_FIELDS) and len(set(r.caption)) == len(r.caption)
    crop = len(r.crop_scale) == 2 and 0 < r.crop_scale[0] <= r.crop_scale[1] <= 1
    return {
        **positive,
        **least,
        "kind": (r.kind in KINDS, f"one of {', '.join(KINDS)}"),
        "precision": (r.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
        "caption": (
            parts and bool(r.caption) == from_text,
            f"some of {', '.join(TEXT_FIELDS)}" if from_text else f"none for a {r.kind} network",
        ),
        "start": (
            bool(r.start) == (r.kind == "finetuned"),
            "weights for a finetuned network, and only there",
        ),
        "accumulate": (r.accumulate > 0 and r.batch % r.accumulate == 0, "a divisor of the batch"),
        "betas": (len(r.betas) == 2 and all(0 <= b < 1 for b in r.betas), "two numbers from 0 to below 1"),
        "crop_scale": (crop, "two shares from above 0 to 1, the smaller first"),
        "flip": (0 <= r.flip <= 1, "a probability"),
        "rand_augment": (0 <= r.rand_augment <= 30, "0 to 30"),
        "seed": (0 <= r.seed < 2**32, "0 to 2**32 - 1"),
    }
