"""Tables of chapter 4: concepts that directions of real supervised networks detect in real pictures."""

import pandas as pd
import torch

from featurelens import candidates, colours, concepts, conceptsets, extract, imagesets, outliers
from featurelens.concept_labels import ConceptSet

# Every class is somewhere in every frame of a drive through town: an object counts from this share of pixels.
SHARE = 0.01
MINIMUM = 20
PERMUTATIONS = 10


def by_area(name: str, share: float = SHARE) -> ConceptSet:
    """Return the classes of an image set with masks that cover at least a share of the pixels.

    Raises:
        Unreachable: the image set is not on this machine.
    """
    images = imagesets.load(name)
    classes = [c for c, label in enumerate(images.classes) if label != conceptsets.NOTHING]
    present_NT = torch.zeros(len(images), len(classes), dtype=torch.bool)
    for i in range(len(images)):
        mask_HW = images.mask(i)
        pixels_C = torch.bincount(mask_HW.flatten().long(), minlength=256)
        present_NT[i] = pixels_C[classes] >= share * mask_HW.numel()
    return ConceptSet(images, [images.classes[c] for c in classes], ["object"] * len(classes), present_NT)


def concept_sets() -> dict[str, ConceptSet]:
    """Return textures (DTD), styles and objects (PACS), objects (CamVid), the first two with colours.

    Raises:
        Unreachable: an image set is not on this machine.
    """
    return {
        "DTD": colours.with_colours(conceptsets.load("dtd10")),
        "PACS": colours.with_colours(conceptsets.load("pacs60")),
        "CamVid": by_area("camvid_val"),
    }


def table() -> pd.DataFrame:
    """Return how well EfficientNet-Lite detects each concept: one row per network, set, kind and concept.

    ``ap`` is the average precision of the best of the ``directions`` of a kind (coordinates, right singular
    vectors of the head, random ones), balanced negatives; ``luck`` the 95 % quantile of the same with labels
    shuffled, for coordinates.

    Raises:
        Unreachable: images or weights are not on this machine.
    """
    encoders, parts = outliers.supervised_encoders(), []
    for set_name, concept_set in concept_sets().items():
        for model, encoder in encoders.items():
            found = extract.features(encoder, concept_set.images)
            judged = concepts.labels(concept_set, "balanced", minimum=MINIMUM, rows=found.row_N)
            for kind, v_DK in candidates.by_kind(found.h_ND.shape[1], encoder.head).items():
                rows = concepts.detect(found.h_ND, v_DK, judged).table()
                if kind == "features":
                    luck_RT = concepts.by_luck(found.h_ND, v_DK, judged, PERMUTATIONS)
                    rows["luck"] = luck_RT.quantile(0.95, dim=0).numpy()
                facts = {"model": model, "set": set_name, "kind": kind, "directions": v_DK.shape[1]}
                parts.append(rows.assign(positives=judged.present_NT.sum(0).numpy(), **facts))
    return pd.concat(parts, ignore_index=True)
