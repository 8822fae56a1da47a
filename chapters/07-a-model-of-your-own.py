# %% [markdown]
# # A model of your own
#
# The chapters before look at models that others made. This one is for the model on your desk: a network that you
# trained, finetuned or downloaded, and that will soon meet images nobody has labelled. What do its features
# look like, how many images does it take to know, and what does that tell you about robustness? The first two
# questions have good answers. The third has an honest one.
#
# :::{admonition} What you will learn
# - to scan a model of your own, or a file of its features, in one cell or one command;
# - to say how many images such a number needs, and to check an interval before you trust it;
# - to see why a hundred varied images say more than a thousand of one kind;
# - to read the report, with the sentence in it that says what it cannot say;
# - to let a pipeline refuse a model.
#
# You need: chapter 2, the idea of a confidence interval. Reading: 30 minutes. Running: about a minute.
# :::

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown
from scipy import stats

from featurelens import (
    claims,
    extract,
    imagesets,
    outliers,
    plots,
    results,
    samplesize,
    scan,
    scan_evidence,
    scan_features,
    scan_fields,
    scan_references,
    variety,
    zoo,
)
from featurelens.figures import outliers as figures
from featurelens.figures import samplesize as size_figures
from featurelens.miniature import grown, sets, world

plots.use_style()
pd.set_option("display.max_colwidth", None)
book = claims.Claims("07-a-model-of-your-own")

# %% [markdown]
# ## What a scan is
#
# :::{prf:definition} Scan
# :label: def-scan
#
# A *scan* takes the features of $N$ images and reports: the mean {prf:ref}`activation kurtosis
# <def-activation-kurtosis>` with a 95 % interval, the {prf:ref}`outlier coordinates <def-outlier-coordinate>` and
# how much of the kurtosis they hold, rank and length of the features, and, where there is a linear head, how
# unequally its directions are used. It needs neither labels nor shifted images.
# :::
#
# Two networks of the {term}`miniature` show what comes out: `clip-web`, and `clip-outliers`, whose training was
# chosen to grow outlier features ({doc}`05-controls`). We scan the images of both, and the captions of the second.

# %%
both = {name: grown.features(name) for name in (grown.COMPANION, grown.NAME)}
scans = {
    "clip-web, images": scan.features(
        both[grown.COMPANION]["images"], name=grown.COMPANION
    ),
    "clip-outliers, images": scan.features(both[grown.NAME]["images"], name=grown.NAME),
    "clip-outliers, captions": scan.features(
        both[grown.NAME]["captions"], name=f"{grown.NAME}, captions"
    ),
}
FIELDS = [
    "kurtosis",
    "kurtosis_low",
    "kurtosis_high",
    "kurtosis_rotated",
    "outliers",
    "top_share",
]
FIELDS += ["leaders", "leader_share"]
table = pd.DataFrame(
    {
        name: {field: report.values[field] for field in FIELDS}
        for name, report in scans.items()
    }
)
table = table.astype(object)
table.loc["pattern"] = {name: report.measured.pattern for name, report in scans.items()}
table.map(lambda value: value if isinstance(value, str) else scan_fields.shown(value))

# %% mystnb={"figure": {"name": "fig-own-profiles", "caption": "What the three scans see, and the captions of clip-web: the distance of each coordinate from its image's mean, in standard deviations, median over images. Outlier coordinates by the definition carry their number."}, "image": {"alt": "Panels of 64 thin lines. Images of clip-web: no line passes 2. Images of clip-outliers: one line of 3.4 and several of 2 to 3, none of them named. Captions of clip-outliers: coordinate 45 stands out with 3.9 and is named, two more reach 3. Captions of clip-web: no line passes 2."}}
shown = {
    "clip-web, images": both[grown.COMPANION]["images"],
    "clip-outliers, images": both[grown.NAME]["images"],
    "clip-outliers, captions": both[grown.NAME]["captions"],
}
named = {
    name: [each.index for each in report.measured.coordinates]
    for name, report in scans.items()
}
shown["clip-web, captions"] = both[grown.COMPANION]["captions"]
named["clip-web, captions"] = []
figures.profiles(outliers.profile(shown), {name: name for name in shown}, named)

# %% tags=["hide-input"]
small = {
    "scale": "miniature",
    "source": "scans of clip-web and clip-outliers on base-val",
}
for name, kurtosis, count, share in (
    ("clip-web, images", 2.75, 0, 0.085),
    ("clip-outliers, images", 5.12, 0, 0.418),
    ("clip-outliers, captions", 6.98, 1, 0.518),
):
    values = scans[name].values
    text = f"Mean kurtosis of {name}."
    book.record(
        f"kurtosis {name}",
        values["kurtosis"],
        equals=kurtosis,
        tol=0.02,
        text=text,
        **small,
    )
    text = f"Outlier coordinates of {name}."
    book.record(
        f"outliers {name}", values["outliers"], equals=count, text=text, **small
    )
    text = f"Share of the top coordinate in the kurtosis of {name}."
    book.record(
        f"top share {name}",
        values["top_share"],
        equals=share,
        tol=0.005,
        text=text,
        **small,
    )
leading = scans["clip-outliers, images"].values
book.record(
    "images that one coordinate of clip-outliers leads",
    leading["leader_share"],
    equals=0.876,
    tol=0.005,
    text="One coordinate lies furthest from the mean in 88 % of the images of clip-outliers.",
    **small,
)
Markdown(
    f"The scan finds the outlier of the grown network in its captions. In its images one coordinate has "
    f"{leading['top_share']:.0%} of the kurtosis and leads {leading['leader_share']:.0%} of them, and yet the scan says "
    f"*{scans['clip-outliers, images'].measured.pattern}*: the coordinate does not add 3 in half of the images. A rule "
    "has an edge, and models stand on it. Read the numbers and not only the word."
)

# %% [markdown]
# A report shows itself in a notebook. `rich.print(report)` gives every number as text, `report.to_html()` a page that
# opens without a network, and `report.to_json()` a file for programs.

# %%
scans["clip-outliers, captions"]

# %% [markdown]
# (your-own-model)=
# ## Your own model
#
# Change the two names and run the cell. As it stands it scans a small supervised network on renditions, offline.

# %%
MODEL = "miniature/supervised-resnet-s0"
IMAGES = "miniature/rendition"  # None where MODEL is a file of features

if IMAGES is None:
    mine = scan.features(scan_features.load(MODEL).h_ND, name=MODEL)
else:
    mine = scan.scan(zoo.load(MODEL), imagesets.load(IMAGES))
mine

# %% [markdown]
# Images are a folder, a tar, or an image set by name. For the model:
#
# | you have | write |
# | --- | --- |
# | a model of timm | `MODEL = "timm/resnet50.a1_in1k"` |
# | your own weights of a timm model | `MODEL = "timm/resnet50/runs/best.pth"` (or `.pt`, `.safetensors`) |
# | a CLIP of open_clip | `MODEL = "open_clip/ViT-B-32/laion2b_s34b_b79k"` |
# | your own weights of a CLIP that open_clip knows | `MODEL = "open_clip/ViT-B-32/weights.safetensors"` |
# | a folder with weights and configuration | `MODEL = "my_model"` |
# | features, one row an image | `MODEL, IMAGES = "features.npy", None` (or `.safetensors`, `.parquet`) |
# | any torch module | `mine = scan.scan(zoo.load(module, preprocess=transform), images)` |
#
# A finetuned model is scanned with its own head (`scan.scan(…, head=…)`, or `--head` in a terminal), since where a
# head reads decides which features are scanned. For models of timm and open_clip the weights are downloaded. Of
# a `.pth` only tensors are read, never objects; where it holds averaged weights (EMA), those. Pictures are then prepared
# as timm does it for that architecture: if yours was trained on another size or normalisation, hand over the module with
# `preprocess=`.
#
# ## What the report says, and what it cannot say
#
# A scan ends with a verdict, and at this time the verdict is that there is none. Here is why.
#
# The sign, an outlier coordinate, can be tried on models whose robustness is known. Models of one maker are no
# independent evidence: they share data, recipe and architecture. So *families* are counted, and a rule has to be
# right about a family that it has not seen.

# %%
records = [
    each
    for each in scan_evidence.records(scan_references.table())
    if each.world != "real, images only"
]
pd.DataFrame(
    [
        {
            "rule": each.rule,
            "references": each.world,
            "right": f"{each.right} of {len(each.outcomes)}",
            "interval": f"{each.low:.0%} to {each.high:.0%}",
            "wrong for": ", ".join(o.family for o in each.outcomes if not o.right)
            or "none",
        }
        for each in records
    ]
).set_index(["rule", "references"])

# %% tags=["hide-input"]
main = next(each for each in records if each.world == "real")
references = {"scale": "published", "source": "scan_references.csv"}
for name, value, expected in (
    ("families of real models", len(main.outcomes), 3),
    ("families the sign is right about", main.right, 2),
):
    text = (
        "The sign of an outlier coordinate is right about two of three real families."
    )
    book.record(name, value, equals=expected, text=text, **references)
for name, value, expected in (
    ("lower end", main.low, 0.09),
    ("upper end", main.high, 0.99),
):
    text = "The 95 % interval of how often the sign would be right goes from 9 to 99 %."
    book.record(
        f"{name} of the sign's interval",
        value,
        equals=expected,
        tol=0.005,
        text=text,
        **references,
    )
book.record(
    "rules whose interval lies above one half",
    sum(each.low > 0.5 for each in records),
    equals=0,
    text="No rule is better than guessing, beyond doubt, among real families or in the miniature.",
    **references,
)
Markdown(
    f"With {len(main.outcomes)} real families, {main.right} of them right, the interval reaches from {main.low:.0%} to "
    f"{main.high:.0%}. Guessing is in the middle of it. The scan names a verdict once the whole "
    "interval lies above one half and the rule is right about most families of either kind, and not before."
)

# %% [markdown]
# The intervals are those of Clopper and Pearson {cite:p}`clopper1934`. {ref}`An exercise <ex-families>` asks how many
# families it would take. What is left is of use all the same.
#
# - *Compare.* The same model before and after finetuning, or with random weights: an outlier that comes or goes was
#   made by the training in between.
# - *Notice.* Features that are the same for all images, that are all zero, or of which one coordinate holds nearly
#   everything will trouble whatever reads them: a nearest-neighbour search, a low-precision store, a new head.
# - *Ask.* A sign that worked for one family is a reason to collect shifted images. Only accuracy on those decides.
#
# ## How many images?
#
# Nobody has all images. Take a set of real features as the world, draw $n$ of its images at random, a thousand times,
# and see how far the scan of a sample is from the scan of the whole. Images are drawn *with* replacement: then a
# sample is $n$ independent draws, as from an endless set of images like these. Without replacement, half of the set
# would have little left to miss and look better than it is.

# %%
parts = {
    "published": (samplesize.published, "random samples of published features"),
    "supervised": (
        samplesize.supervised,
        "random samples of EfficientNet-Lite0's features of photographs",
    ),
}


def of_both(what, study):
    """One table of each part, as stored or computed."""
    return [
        results.table(
            f"07-{part}-{what}",
            "published",
            lambda load=load: study(load()),
            source=source,
        )
        for part, (load, source) in parts.items()
    ]


measured = of_both("sample-size", samplesize.study)
real = pd.concat([results.bare(table) for table in measured], ignore_index=True)
Markdown(" ".join(results.caption(table) for table in measured))

# %%
LABELS = {
    "clip-b16/coco-images": "CLIP ViT-B/16, photographs",
    "clip-b16/coco-captions": "CLIP ViT-B/16, captions",
    "clip-b32/imagenet-photo": "CLIP ViT-B/32, ImageNet names",
    "videoclip/first": "VideoCLIP, videos",
    "clip-b16-random/coco-images": "CLIP ViT-B/16, random weights",
    "efficientnet-lite0": "EfficientNet-Lite0, photographs",
}

# %% mystnb={"figure": {"name": "fig-sample-size", "caption": "What samples of 2 to 500 images say, relative to all images: lower and upper end of nine tenths of 1,000 samples. Grey: within 10 %. Right: share of samples that name exactly the outlier coordinates of all images."}, "image": {"alt": "Three panels over the number of images on a logarithmic axis. Left: ranges of the mean kurtosis narrow from between 0.4 and 1.7 at 2 images to within 10 per cent at about 50 to 100. Middle: the top share of the trained CLIP models is right within a few per cent from 5 images on, while that of EfficientNet is 4 to 18 times too large at 2 images and still up to 1.5 times at 200. Right: from 5 images on nearly all samples name the same outliers."}}
size_figures.sizes(real, LABELS)

# %% [markdown]
# The three statistics need very different numbers.
#
# - **Mean kurtosis.** The range shrinks like $1/\sqrt{n}$. How fast it starts depends on how much images differ.
# - **Outlier coordinates.** Five images are as good as five hundred in these six sets. The rule asks a yes-or-no question
#   of each image, and here the answer is nearly always the same: a coordinate is there in nearly all images or in
#   nearly none. Near the edge of the rule it takes more: before the projection of the miniature's `clip-outliers`, five
#   images name the right set in 84 % of samples, fifty in nearly all. With *two* images half is one, and two of three samples of EfficientNet name a coordinate that is
#   none.
# - **Top share.** The largest of many noisy shares is too large. For CLIP, where one or two coordinates hold nearly
#   all, this does not matter. For EfficientNet, where none does, five images give a share that is three to eleven times too
#   high.
#
# How many images give ±10 %? By Student's interval {cite:p}`student1908`, the smallest $n$ with
# $t_{n-1}\, s / \sqrt{n} \le 0.1\, \bar{k}$. The last column checks it: the share of samples of that size that are
# within 10 %.

# %%
enough = pd.concat(
    [results.bare(table) for table in of_both("enough", samplesize.enough)]
)
small_enough = results.table(
    "07-miniature-enough",
    "miniature",
    lambda: samplesize.enough(samplesize.miniature()),
    source="random samples of the miniature's features on base-val",
)
titles = {
    "deviation": "deviation over images",
    "share": "top share",
    "needed": "images for ±10 %",
}
titles |= {"within": "samples within 10 %"}
table = pd.concat([enough, results.bare(small_enough)]).drop(columns="present")
table["name"] = table["name"].map(lambda name: LABELS.get(name, name))
table.set_index("name").rename(columns=titles).round(2)

# %% tags=["hide-input"]
on_enough = {"scale": "published", "source": "07-published-enough"}
by_name = enough.set_index("name")
for name, count in (
    ("clip-b16/coco-images", 46),
    ("clip-b16/coco-captions", 138),
    ("clip-b32/imagenet-photo", 84),
    ("efficientnet-lite0", 73),
):
    text = f"{LABELS[name]}: {count} images give the mean kurtosis to within 10 % in about 95 % of samples."
    book.record(
        f"images for 10 %, {name}",
        by_name.loc[name, "needed"],
        equals=count,
        tol=1,
        text=text,
        **on_enough,
    )
book.record(
    "fewest samples within 10 %",
    enough["within"].min(),
    at_least=0.92,
    text="Of samples of that size at least 92 % are within 10 %, in every real set.",
    **on_enough,
)
on_small = {"scale": "miniature", "source": "07-miniature-enough"}
tiny = small_enough.set_index("name")["needed"]
for name, count in (
    ("clip-web-resnet-s0 (pre)", 56),
    ("clip-outliers-resnet-s0 (pre)", 86),
):
    text = f"{name}: {count} images give the mean kurtosis to within 10 %."
    book.record(
        f"images for 10 %, {name}",
        tiny[name],
        equals=count,
        tol=1,
        text=text,
        **on_small,
    )
book.record(
    "most images for 10 % in the joint space or of a supervised network",
    tiny.drop(["clip-web-resnet-s0 (pre)", "clip-outliers-resnet-s0 (pre)"]).max(),
    at_most=14,
    text="Near-Gaussian features of the miniature need at most 14 images.",
    **on_small,
)
sized = real.set_index(["name", "n"])
on_real = {"scale": "published", "source": "07-published-sample-size"}
trained = ["clip-b16/coco-images", "clip-b16/coco-captions", "clip-b32/imagenet-photo"]
book.record(
    "fewest samples of five images that name the same outliers",
    sized.xs(5, level="n")["same"].min(),
    at_least=0.99,
    text="From five images on, 99 % of the samples name the outlier coordinates of all images.",
    **on_real,
)
book.record(
    "samples of two images of EfficientNet that name the same outliers",
    sized.loc[("efficientnet-lite0", 2), "same"],
    equals=0.34,
    tol=0.04,
    text="Two images of EfficientNet name a false outlier coordinate in two of three samples.",
    **on_real,
)
for end, value, tolerance in (("low", 2.9, 0.3), ("high", 10.9, 0.8)):
    book.record(
        f"top share of EfficientNet from five images, {end}",
        sized.loc[("efficientnet-lite0", 5), f"share_{end}"],
        equals=value,
        tol=tolerance,
        text="With five images the top share of EfficientNet is three to eleven times too large.",
        **on_real,
    )
off = (
    sized.loc[trained]
    .xs(5, level="n")[["share_low", "share_high"]]
    .sub(1)
    .abs()
    .to_numpy()
    .max()
)
book.record(
    "largest error of the top share of CLIP from five images",
    off,
    at_most=0.03,
    text="With five images the top share of CLIP's features is right to within 3 %.",
    **on_real,
)

# %% [markdown]
# :::{prf:observation} A hundred images
# :label: obs-hundred-images
#
# About a hundred images give the mean kurtosis to within 10 %, for CLIP's features (46 to 138 images) as for sparse
# ReLU features (73 for EfficientNet, 56 and 86 before the projection of the miniature's ResNets). Near-Gaussian features
# need fewer than twenty.
# :::
#
# **What would falsify it.** A model whose kurtosis differs so much between images of one ordinary set that samples of a
# hundred are off by more than 20 %: the deviation over images would have to be as large as the mean.
#
# (sample-intervals)=
# ### An interval from your own images
#
# You have one sample and no thousand others. An interval computed from it should contain the value of all images in 95 %
# of cases. Kurtosis is skewed, which makes one suspicious of Student's $t$; the bootstrap {cite:p}`efron1993` assumes
# less. We tried both, on each set.

# %%
mini = results.table(
    "07-miniature-sample-size",
    "miniature",
    lambda: samplesize.study(samplesize.miniature()),
    source="random samples of the miniature's features on base-val",
)
Markdown(results.caption(mini))

# %% mystnb={"figure": {"name": "fig-sample-coverage", "caption": "How often 95 % intervals contain the mean kurtosis of all images, by the number of images; a line for each of eleven sets of features. Grey: what 1,000 samples of a perfect interval would show."}, "image": {"alt": "Three panels over 2 to 500 images. Student's t lies between 90 and 97 per cent at every number of images. Both kinds of bootstrap begin near 50 per cent at 2 images, pass 80 to 85 at 5 and 90 at about 15, and reach 95 only at about 100 images."}}
size_figures.coverage(pd.concat([real, mini]))

# %% tags=["hide-input"]
for scale, frame, source in (
    ("published", real, on_real),
    ("miniature", mini, on_small),
):
    source = source | {"source": f"07-{scale}-sample-size"}
    book.record(
        "lowest coverage of Student's interval",
        frame["student"].min(),
        at_least=0.89,
        text="Student's 95 % interval contains the value of all images in 89 % of samples or more, from two images on.",
        **source,
    )
    book.record(
        "lowest coverage of Student's interval from 50 images on",
        frame.loc[frame["n"] >= 50, "student"].min(),
        at_least=0.925,
        text="From 50 images on it does so in 92.5 % of samples or more.",
        **source,
    )
    for method in ("percentile", "bca"):
        for count, most in ((5, 0.87), (20, 0.94)):
            book.record(
                f"highest coverage of the {method} bootstrap with {count} images",
                frame.loc[frame["n"] == count, method].max(),
                at_most=most,
                text=f"With {count} images no interval of the bootstrap reaches {100 * most:.0f} %.",
                **source,
            )
        book.record(
            f"lowest coverage of the {method} bootstrap with a hundred images",
            frame.loc[frame["n"] == 100, method].min(),
            at_least=0.92,
            text="With a hundred images it is as good as Student's interval.",
            **source,
        )
near_edge = mini.set_index(["name", "n"]).loc["clip-outliers-resnet-s0 (pre)", "same"]
for count, low, high in ((5, 0.8, 0.88), (50, 0.99, 1.0)):
    book.record(
        f"samples of {count} images that name the same outliers, clip-outliers before the projection",
        near_edge[count],
        at_least=low,
        at_most=high,
        text="A coordinate near the edge of the rule takes about fifty images to judge.",
        **on_small | {"source": "07-miniature-sample-size"},
    )

# %% [markdown]
# Suspicion was misplaced. Student's interval holds what it promises, or nearly, from two images on; the bootstrap, in its
# plain and its corrected form, is too short with five or twenty images and as good with a hundred. Five numbers, drawn again and again,
# cannot show what the sixth would have been. That this happens with small samples is known {cite:p}`hesterberg2015`;
# that skewness matters less here than the number of images had to be measured. So a scan gives Student's interval
# (`kurtosis_low` and `kurtosis_high`), cut off at 1 and at the ceiling, which no kurtosis can pass.
#
# ## Of how many kinds?
#
# An interval answers one question: what would more images *like these* have given? It knows nothing of images that
# are not there. So the same again with images of one kind only, against as many drawn from all kinds.

# %%
parts = {
    "published": (variety.published, "CLIP's text features"),
    "supervised": (
        variety.supervised,
        "EfficientNet-Lite0 on photographs and the stimuli of Geirhos et al.",
    ),
}
measured = of_both("variety", variety.study)
kinds = pd.concat([results.bare(table) for table in measured], ignore_index=True)
small_kinds = results.table(
    "07-miniature-variety",
    "miniature",
    lambda: variety.study(variety.miniature()),
    source="the miniature's networks on classes of base-val and styles of rendition",
)
Markdown(" ".join(results.caption(table) for table in (*measured, small_kinds)))

# %%
KINDS = {
    ("clip-b32/imagenet-photo", "subject"): "CLIP ViT-B/32: names of dogs",
    ("efficientnet-lite0", "drawing"): "EfficientNet: one kind of drawing",
    ("efficientnet-lite0", "texture"): "EfficientNet: one texture",
    ("efficientnet-lite0", "shape"): "EfficientNet: one shape",
    ("efficientnet-lite0", "shape, three pictures"): "EfficientNet: 3 of one shape",
    ("clip-web-resnet-s0 (pre)", "class"): "clip-web, pre: one class",
    ("clip-web-resnet-s0 (pre)", "style"): "clip-web, pre: one style",
    ("clip-outliers-resnet-s0 (joint)", "class"): "clip-outliers, joint: one class",
    ("clip-outliers-resnet-s0 (joint)", "style"): "clip-outliers, joint: one style",
    ("supervised-resnet-s0 (pre)", "class"): "supervised, pre: one class",
    ("supervised-resnet-s0 (pre)", "style"): "supervised, pre: one style",
}
every_kind = pd.concat([kinds, results.bare(small_kinds)])

# %% mystnb={"figure": {"name": "fig-variety", "caption": "Scans of images of one kind (marks) and of as many images of all kinds (grey: 95 % of random samples). Diamonds: scans that name other outlier coordinates than all images do."}, "image": {"alt": "Two panels, a row for each encoder and kind of images. On the left the mean kurtosis over that of all kinds: names of dogs have less than half, one texture of EfficientNet nearly twice, classes of the miniature three quarters to five quarters, mostly outside the grey range. On the right the top share: for edges and silhouettes it is 8 and 18 per cent where mixed photographs stay below 3, for one style of clip-web 82 per cent. Orange diamonds mark an elephant's texture for EfficientNet, two styles of clip-web and a class of clip-outliers."}}
size_figures.variety(every_kind, KINDS)

# %%
variety.judged(every_kind)

# %% tags=["hide-input"]
found = kinds.set_index(["kind", "group"])
tiny = small_kinds.set_index(["name", "group"])
on_kinds = {"scale": "published", "source": "07-published-variety"}
dogs = found.loc[("subject", "names of dogs")]
elephant = found.loc[("texture", "elephant")]
edges = found.loc[("drawing", "geirhos_edges")]
counted = variety.judged(kinds).loc["efficientnet-lite0"]
for name, value, expected, tolerance, text in (
    (
        "kurtosis of names of dogs",
        dogs["kurtosis"],
        28.1,
        0.1,
        "Names of 118 dogs have a kurtosis of 28.",
    ),
    (
        "kurtosis of all names",
        dogs["pool_kurtosis"],
        62.7,
        0.1,
        "The 1,000 names have one of 63.",
    ),
    (
        "images of an elephant's texture",
        elephant["images"],
        80,
        0,
        "There are 80 of them.",
    ),
    (
        "kurtosis of an elephant's texture",
        elephant["kurtosis"],
        31.6,
        0.3,
        "Their kurtosis is 32.",
    ),
    (
        "kurtosis of all textures",
        elephant["pool_kurtosis"],
        16.3,
        0.2,
        "That of all textures is 16.",
    ),
    (
        "top share on edges",
        edges["share"],
        0.176,
        0.005,
        "On edge drawings the top share is 18 %.",
    ),
    (
        "top share of as many photographs",
        edges["mixed_share"],
        0.023,
        0.003,
        "Of photographs: 2 %.",
    ),
    (
        "textures with a higher top share",
        counted.loc["texture", "share above"],
        11,
        0,
        "Of 16.",
    ),
    (
        "shapes with a higher top share",
        counted.loc["shape", "share above"],
        0,
        0,
        "Of 16.",
    ),
    (
        "shapes of three pictures with one",
        counted.loc["shape, three pictures", "share above"],
        0,
        0,
        "Of 16.",
    ),
    (
        "textures with other outliers",
        counted.loc["texture", "other outliers"],
        1,
        0,
        "The elephant's.",
    ),
):
    book.record(name, value, equals=expected, tol=tolerance, text=text, **on_kinds)
on_small_kinds = {"scale": "miniature", "source": "07-miniature-variety"}
embroidery = tiny.loc[("clip-web-resnet-s0 (pre)", "embroidery")]
classes = small_kinds[small_kinds["kind"] == "class"]
misses = int(variety.judged(classes)["interval misses"].sum())
for name, value, expected, tolerance, text in (
    (
        "images of embroidery",
        embroidery["images"],
        850,
        0,
        "850 pictures are embroidery.",
    ),
    (
        "kurtosis of embroidery",
        embroidery["kurtosis"],
        15.5,
        0.1,
        "Their kurtosis is 15.5.",
    ),
    (
        "top share of embroidery",
        embroidery["share"],
        0.82,
        0.01,
        "One coordinate has 82 % of it.",
    ),
    ("outlier of embroidery", int(embroidery["outliers"]), 13, 0, "It is number 13."),
    (
        "top share of all renditions",
        embroidery["pool_share"],
        0.264,
        0.005,
        "Among all renditions: 26 %.",
    ),
    (
        "classes in five sets of features",
        len(classes),
        60,
        0,
        "Twelve classes, five sets.",
    ),
    (
        "classes whose interval misses",
        misses,
        53,
        1,
        "53 of 60 miss the value of all classes.",
    ),
):
    book.record(
        name, value, equals=expected, tol=tolerance, text=text, **on_small_kinds
    )
styles = next(case for case in variety.miniature() if case.kind == "style")
_, _, none_named = samplesize.Population(styles.pool_ND).draw(
    100, 1000, np.random.default_rng(0)
)
book.record(
    "samples of as many renditions as there is embroidery that name no outlier coordinate",
    embroidery["mixed_same"],
    at_least=0.999,
    text="No random sample of 850 renditions names one.",
    **on_small_kinds,
)
book.record(
    "samples of a hundred renditions that name no outlier coordinate",
    none_named.mean(),
    at_least=0.999,
    text="A hundred renditions of mixed styles name no outlier coordinate, like all 4,000.",
    **on_small_kinds,
)
Markdown(
    f"In the miniature the intervals of {misses} of {len(classes)} classes, from 333 or 334 pictures each, do not contain the "
    "kurtosis of all classes. They are right about their class, and say nothing of others. And what is worse than a wrong "
    f"number is a wrong finding: {embroidery['images']} pictures of embroidery give `clip-web` an outlier coordinate with "
    f"{embroidery['share']:.0%} of the kurtosis. No random sample of as many renditions has one, "
    "and none of a thousand random samples of a *hundred*."
)

# %% [markdown]
# Three things are worth a closer look.
#
# 1. *Dogs.* The 118 names of dogs have the same two outlier coordinates as the 1,000 ImageNet names, at less than half
#    of the kurtosis. An outlier can be there for all kinds, and its size still depend on the kind.
# 2. *What variety is, depends on the network.* The stimuli of Geirhos et al. {cite:p}`geirhos2019` combine 16 shapes with
#    16 textures. Images of one *shape* have a top share like mixed ones, each of the 16. Images of one *texture* do
#    not: 11 of 16 have a higher one, and elephants' skin makes a false outlier. That a texture is taken from three
#    pictures and a shape from ten is not the reason: with three pictures of a shape, still none of 16 has. This network
#    goes by texture more than by shape ({doc}`02-outlier-features`), which may be it.
# 3. *Numbers do not help.* Embroidery has 850 pictures, and any hundred of mixed styles would have been better.
#
# :::{prf:observation} Variety before number
# :label: obs-variety
#
# Images of one kind can show an outlier coordinate that images of all kinds do not have, with hundreds of images as
# with few, and an interval computed from them does not warn. A hundred images of all kinds that the model will meet say more than
# a thousand of one.
# :::
#
# **What would falsify it.** Scans of single kinds that stay within the grey ranges of {numref}`fig-variety`, for networks
# and kinds of your own.
#
# ## Before a model is deployed
#
# 1. **Images**: a hundred or more, of all kinds that the model will meet. If you cannot name the kinds, that is the
#    first finding.
# 2. **Features**: at the point that your head reads, computed with the preprocessing of deployment.
# 3. **Scan**, and scan something to compare with: the version before, the network before finetuning, or a copy
#    with random weights.
# 4. **From whom?** If the kurtosis is high, look at the top share, the number of leaders, and whether the coordinate is
#    constant. A constant offset can be subtracted; a coordinate that depends on the image cannot.
# 5. **Kinds apart**: scan each kind alone. A coordinate that only one kind has is a detector of that kind.
# 6. **Shifted images**: collect and label some. A hundred labelled images from where the model will work decide more than
#    anything here ({doc}`01-effective-robustness`).
# 7. **Write it down**: keep the JSON, which names weights, images, commit and date, with the model card
#    {cite:p}`mitchell2019`.
#
# ## In a pipeline
#
# The same in a terminal, where every number is a field that a condition can name:
#
# ```bash
# featurelens scan timm/resnet50.a1_in1k --images my_photos --html scan.html
# featurelens scan features.npy --json scan.json \
#   --fail-if 'images<100' --fail-if 'kurtosis_low>10'
# ```
#
# | exit code | meaning |
# | --- | --- |
# | 0 | done, and no condition holds |
# | 1 | done, and a condition of `--fail-if` holds; a line says which, and the value |
# | 2 | bad input: no such file, features with NaN, one image, an unknown field; a line says what was expected |
#
# Take the end of the interval that makes the statement safe. `kurtosis_low>10` fails a model whose kurtosis *is* above
# 10 by these images; `kurtosis_high>10` one that might be. And mind what a condition is for. It does not tell good
# models from bad, which no rule here can. It tells you that a model is no longer like the one that you looked at.
#
# A workflow to copy into a repository of your own is `examples/scan-before-deployment.yml`; in `examples/scan-action/`
# the same is an action to call from several workflows.
#
# ```{literalinclude} ../examples/scan-before-deployment.yml
# :language: yaml
# ```
#
# ## What holds, and what we could not check
#
# - **Holds**, for six real and five miniature sets of features: a hundred images give the mean kurtosis to within about
#   10 %, and Student's interval of it can be believed for images like those it was computed from.
# - **Does not hold**: that many images make up for few kinds.
# - **Could not be checked here**: CLIP's *image* features by kind, since the 500 published photographs have no
#   labels; and whether the image sets of companies, which nobody publishes, are as varied as COCO.

# %% [markdown]
# ## Exercises
#
# ```{exercise-start} Half the error
# :label: ex-half-the-error
# ```
# How many captions does it take to know the mean kurtosis of CLIP ViT-B/16's captions to within 5 %? Guess from the
# number for 10 % first. The deviation over images is in the table `enough`.
# ```{exercise-end}
# ```

# %% [markdown]
# ```{solution-start} ex-half-the-error
# :class: dropdown
# ```

# %% tags=["solution"]
deviation = by_name.loc["clip-b16/coco-captions", "deviation"]
for within in (0.1, 0.05):
    reach = (
        (n, stats.t.ppf(0.975, n - 1) * deviation / np.sqrt(n))
        for n in range(2, 10_000)
    )
    print(
        f"within {within:.0%}: {next(n for n, each in reach if each <= within)} captions"
    )

# %% [markdown]
# Four times as many, and a few less: with many images $t$ comes closer to 1.96. A common wrong answer is twice as many. It
# is the square root of the number that counts.
#
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise-start} How many families would be enough?
# :label: ex-families
# ```
# A verdict needs the whole 95 % interval of the main rule above one half. How many families must there
# be if the rule is right about all of them? And how many if it is wrong about one? Use `scan_evidence.interval(right, n)`.
# ```{exercise-end}
# ```

# %% [markdown]
# ```{solution-start} ex-families
# :class: dropdown
# ```

# %% tags=["solution"]
for wrong in (0, 1):
    first = next(
        n for n in range(2, 100) if scan_evidence.interval(n - wrong, n)[0] > 0.5
    )
    print(
        f"wrong about {wrong}: {first} families, interval from {scan_evidence.interval(first - wrong, first)[0]:.2f}"
    )

# %% [markdown]
# Six, or nine. The rule is wrong about EVA-CLIP already, so that six more families would have to come, all of them right.
# Eleven models from OpenAI would not do: they are one family, whatever their number.
#
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise-start} What is coordinate 13?
# :label: ex-coordinate-13
# ```
# Pictures of embroidery give `clip-web-resnet-s0` an outlier coordinate before the projection, number 13. In what share of
# the pictures of each style does it add 3 or more to the kurtosis? How large must the share of embroidery in a set of
# renditions be for the rule to name it? Is it an outlier feature in the sense of {doc}`02-outlier-features`?
# ```{exercise-end}
# ```

# %% [markdown]
# ```{solution-start} ex-coordinate-13
# :class: dropdown
# ```

# %% tags=["solution"]
pictures = sets.load("rendition").pictures
h_ND = extract.features(
    zoo.load("miniature/clip-web-resnet-s0"), imagesets.load("miniature/rendition")
).h_ND
z_N = ((h_ND[:, 13] - h_ND.mean(1)) / h_ND.std(1, correction=0)).numpy()
styles = [world.names("style")[i] for i in pictures.style]
present = pd.Series(z_N**4 >= 3 * h_ND.shape[1]).groupby(styles).mean()
print(present.round(3).to_string())
inside, outside = present["embroidery"], present.drop("embroidery").mean()
print(f"named from a share of {(0.5 - outside) / (inside - outside):.2f} on")

# %% [markdown]
# It is there in every picture of embroidery and in no other: a detector, as good as one can be, of a style. Half of the
# pictures must be embroidery, since the rule asks for half. By the definition it is an outlier coordinate of *these
# pictures*; a feature that stands out in all images, as in CLIP, it is not. A common wrong answer is 0.82, which is its
# share of the kurtosis of embroidery.
#
# ```{solution-end}
# ```

# %% [markdown]
# ## What comes next
#
# {doc}`02-outlier-features` has the definitions behind the numbers, {doc}`05-controls` the other signatures and what
# they are worth, {doc}`06-paper-scale` how to get features of large image sets. On small samples and the bootstrap
# read {cite:t}`hesterberg2015`; on what else to write down about a model, {cite:t}`mitchell2019`.

# %%
book.write()
