"""Concepts as folders of pictures: ``<concept>/<picture>`` or ``<category>/<concept>/<picture>``.

The pictures in a concept's folder show it and, as far as is known, all others do not. The same file in two
folders is one picture with two concepts.
"""

import hashlib
from collections import defaultdict
from pathlib import Path, PurePosixPath

from featurelens import concept_labels, files
from featurelens.concept_labels import ConceptSet


def load(path: str | Path) -> ConceptSet:
    """Load a folder, or an uncompressed tar, of folders named after concepts.

    Without categories, all concepts are of the category ``concept``. Pictures are not decoded here.

    Raises:
        ValueError: no pictures, or some at another depth than the others.
    """
    path = Path(path).expanduser().absolute()
    listed = files.listed(path)
    folders = [PurePosixPath(key).parent.parts for key in listed.keys]
    examples = {len(folder): key for key, folder in zip(listed.keys, folders, strict=True)}
    if len(examples) > 1 or not examples.keys() <= {1, 2}:
        expected = "all pictures in <concept>/ or all in <category>/<concept>/"
        raise ValueError(f"{path.name}: expected {expected}, found {' and '.join(examples.values())}")
    of_file = [folder if len(folder) == 2 else ("concept", *folder) for folder in folders]
    concepts = sorted(set(of_file))
    position = {concept: t for t, concept in enumerate(concepts)}
    copies = _copies(listed)
    once = listed.subset([group[0] for group in copies])
    present_NT = concept_labels.of_rows(
        ([position[of_file[i]] for i in group] for group in copies), len(concepts)
    )
    categories = [category for category, _ in concepts]
    names = concept_labels.distinct([name for _, name in concepts], categories)
    name = path.stem if path.is_file() else path.name
    return ConceptSet(concept_labels.image_set(name, once), names, categories, present_NT)


def _copies(listed: files.Files) -> list[list[int]]:
    """Groups of equal files, in order of their first; only files of one size are compared."""
    of_size, groups = defaultdict(list), defaultdict(list)
    for i, size in enumerate(listed.sizes):
        of_size[size].append(i)
    for i, size in enumerate(listed.sizes):
        same = len(of_size[size]) > 1
        groups[hashlib.sha256(listed.read(i)).digest() if same else i].append(i)
    return list(groups.values())
