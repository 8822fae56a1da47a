# %% [markdown]
# # How to read this book
#
# Show an image classifier a photograph of a dog and it says *dog*. Show it a pencil sketch of the same dog and
# most classifiers fail, while a few hardly notice. This book asks what those few have inside. It is for people
# who want to know, and want to check: for a student who has trained a network once, for a teacher who needs an
# hour with real numbers, for a researcher with a model of their own.
#
# **When you are through with this page you can**
#
# - say which of three scales a number comes from, and compute it again;
# - find the chapter for a question;
# - explain, with one figure, what the first two chapters find.
#
# It takes ten minutes. You need linear algebra as far as inner products, and a little PyTorch to read the code.

# %% [markdown]
# ## Three scales, one code path
#
# Every finding is computed by the same functions at up to three scales, and a page shows all that it has.
#
# | scale | what runs | what it can tell you | where |
# | --- | --- | --- | --- |
# | `miniature` | a generated world of small captioned images and a family of tiny encoders trained on it | whether an effect appears when everything is under control, and what causes it | anywhere, two processor cores |
# | `published` | accuracy tables, features and heads of real models, as others publish them | whether the effect is there in real models | small downloads |
# | `paper` | the encoders of the paper over ImageNet and its shifts | whether the paper's findings hold when computed again | a GPU |
#
# The environment variable `FEATURELENS_SCALE` says how far a run goes. Where a scale is out of reach, the page
# shows the stored result instead, labelled with its date, commit and hardware. The miniature is a laboratory and
# not a model of ImageNet: an effect that is absent there is reported as absent.
#
# A number that this book did not compute is cited as someone else's, and never stands in a column of computed ones.

# %% [markdown]
# ## A map of findings
#
# | question | chapter | measured by |
# | --- | --- | --- |
# | Which models lose less than their accuracy lets one expect? | {doc}`01-effective-robustness` | {term}`effective robustness` |
# | Can one see it in the features, before any shifted data exist? | {doc}`02-outlier-features` | {term}`activation kurtosis` |
# | Which directions carry the prediction, and how many can go? | {doc}`03-privileged-directions` | {term}`privileged directions <privileged direction>` |
# | What do directions stand for? | {doc}`04-concepts` | {term}`encoded concepts <encoded concept>` |
# | Are these signs missing where robustness is missing? | {doc}`05-controls` | all of them, side by side |
# | What does it take to compute all this for real encoders? | {doc}`06-paper-scale` | counts, bytes and hours |
# | What does it say about a model of my own? | {doc}`07-a-model-of-your-own` | a scan, with intervals |
#
# Words with a dotted line lead to the {doc}`glossary`.
#
# The questions are those of *Interpreting CLIP* {cite:p}`crabbe2024`. Where the paper leaves a choice open, the
# chapter names the choice made here. This book is independent of its authors.

# %% [markdown]
# ## A tour in two minutes
#
# The left half of the figure below is the first finding. Each grey point is a network trained on ImageNet: the
# better it is on photographs, the better it is on sketches, along one line. Zero-shot CLIP models are elsewhere,
# far above. The distance is their {term}`effective robustness`. Finetuning them on ImageNet moves them to the
# right and more than half of the way back down.
#
# The right half is the second. It shows a typical image's feature vector, coordinate by coordinate, for one of
# those CLIP models and for the same network before training. Nothing but ordinary photographs went in: no
# sketches, no labels. Yet one coordinate of the trained network stands out by itself.

# %% tags=["hide-input"]
import pandas as pd
from IPython.display import Markdown

from featurelens import (
    claims,
    kernels,
    plots,
    published_features,
    results,
    robustness,
    testbed,
)
from featurelens.figures import tour

plots.use_style()
CHAPTER = "00-how-to-read"


def sketch_accuracies() -> pd.DataFrame:
    accuracy = testbed.accuracies()
    accuracy = accuracy[accuracy["image_set"].isin(["val", "sketch"])]
    scored = robustness.score(robustness.pairs(accuracy, "val"), testbed.fits(accuracy))
    # Below one half, there is no baseline to compare with.
    scored = scored[scored["acc_in"] > 0.5]
    return scored[["model", "kind", "regime", "acc_in", "acc_shift", "er"]]


def typical_vectors() -> pd.DataFrame:
    tables = []
    for weights, name in (
        ("trained", "clip-b16/coco-images"),
        ("random", "clip-b16-random/coco-images"),
    ):
        h_ND = published_features.load(name).double()
        z_ND = (h_ND - h_ND.mean(1, keepdim=True)) / h_ND.std(
            1, correction=0, keepdim=True
        )
        kurtosis = kernels.activation_kurtosis(h_ND).mean().item()
        table = {
            "coordinate": range(h_ND.shape[1]),
            "activation": z_ND.mean(0).float().numpy(),
            "kurtosis": kurtosis,
        }
        tables.append(pd.DataFrame(table).assign(weights=weights))
    return pd.concat(tables, ignore_index=True)


scored = results.table(
    f"{CHAPTER}-sketch",
    "published",
    sketch_accuracies,
    "the ImageNet testbed, open_clip and timm",
)
vectors = results.table(
    f"{CHAPTER}-vectors",
    "published",
    typical_vectors,
    "OpenAI CLIP ViT-B/16 features of 500 COCO images",
)

# %% [markdown]
# :::{prf:observation} The tour's claim
# :label: obs-tour
#
# Of the zero-shot CLIP models above 50 % on ImageNet, half stand more than 30 percentage points above the
# baseline on sketches, and half of the finetuned ones less than 20. In CLIP ViT-B/16 one coordinate lies more
# than ten standard deviations from the others on average; at random initialisation none does.
# :::

# %% tags=["hide-input"]
baseline = scored[scored["kind"] == "baseline"]
fit = robustness.fit_baseline(baseline["acc_in"], baseline["acc_shift"])

book = claims.Claims(CHAPTER)
median = scored.groupby("regime")["er"].median()
largest = vectors.groupby("weights")["activation"].agg(lambda a: a.abs().max())
er = "median effective robustness on sketches"
activation = "largest mean activation, in standard deviations"
tested = {
    f"{er}, zero-shot": (median["clip-web"], {"at_least": 30}, "sketch"),
    f"{er}, finetuned": (median["finetuned"], {"at_least": 5, "at_most": 20}, "sketch"),
    f"{activation}, trained": (largest["trained"], {"at_least": 10}, "vectors"),
    f"{activation}, untrained": (largest["random"], {"at_most": 5}, "vectors"),
}
texts = {
    "sketch": "Half of the models of this kind, above 50 % on ImageNet, have this effective robustness or more.",
    "vectors": "How far the tallest coordinate of CLIP ViT-B/16 lies from the others, averaged over 500 photographs.",
}
for name, (value, expected, table) in tested.items():
    book.record(
        name,
        value,
        text=texts[table],
        scale="published",
        source=f"{CHAPTER}-{table}",
        **expected,
    )
book.write()

# %% mystnb={"figure": {"name": "fig-tour", "caption": "Left: accuracy on ImageNet-Sketch against accuracy on ImageNet, on logit axes, for models above 50 % on ImageNet. Right: activation of each coordinate of CLIP ViT-B/16's image features, averaged over 500 COCO photographs."}, "image": {"alt": "Two panels. On the left, grey points of ImageNet-trained models follow a rising line; blue points of zero-shot CLIP models lie far above it and pink points of finetuned ones between. On the right, the activations of a trained CLIP stay near zero except for one spike at coordinate 442, fourteen standard deviations high; those of the untrained network have no such spike."}}
tour.tour(scored, fit, vectors)

# %%
Markdown(f"{results.caption(scored)} {results.caption(vectors)}")

# %% [markdown]
# **What would falsify this.** Zero-shot models on the line; or a spike as tall in the untrained network, in
# which case it would be a matter of architecture and not of what was learned. One network is no evidence that
# the two halves of the figure belong together: {doc}`02-outlier-features` looks at more, among them one that does not fit.

# %% [markdown]
# (miniature-world)=
# ## A laboratory: the miniature world
#
# Real models differ in data, size, loss and people, all at once. To see what a cause does on its own, this book
# keeps a small world where everything is under control. A program draws an object with nameable parts, in a
# material, a texture and two colours, before a scene, in a style. Which pixels belong to which concept is known,
# and so is a caption.

# %% tags=["hide-input"]
import torch

from featurelens.figures import gallery

SETS = {
    "base-val": "base",
    "v2": "v2",
    "rendition": "rendition",
    "sketch": "sketch",
    "objectnet": "objectnet",
    "adversarial": "adversarial",
}

# %% mystnb={"figure": {"name": "fig-gallery", "caption": "The miniature's test sets, one class a column, drawn at 64 x 64 pixels; the networks see 32 x 32."}, "image": {"alt": "Six rows of small generated pictures, one column for each of twelve classes from house to key. The base, v2, objectnet and adversarial rows are photograph-like, with textured objects before scenes; the rendition row shows cartoons, mosaics, embroidery and neon signs; the sketch row shows black outlines on white."}}
gallery.gallery(SETS)

# %% [markdown]
# The sets have the roles of ImageNet's. `base` is photograph-like, and its classes have habits: two boats
# of three are at sea. `v2` is drawn anew with slightly other settings, `objectnet` breaks the habits
# and the poses, `rendition` and `sketch` change the style. `adversarial` holds the pictures that one
# supervised network got wrong, as ImageNet-A was filtered against a ResNet-50 {cite:p}`hendrycks2021a`.
#
# A seventh set, `web`, mixes all styles and comes with captions:

# %% mystnb={"figure": {"name": "fig-captions", "caption": "Five pairs of the web set. Captions use synonyms and leave out attributes at random."}, "image": {"alt": "Five generated pictures with a caption below each: among them a spotted car in front of clouds, a watercolour of a flower, a neon mushroom and a cartoon boat."}}
gallery.captioned("web", torch.tensor([1, 4, 8, 18, 21]))

# %% [markdown]
# Six {term}`regimes <regime>` train the same two networks, a small ResNet and a small vision transformer:
#
# | regime | learns from | role |
# | --- | --- | --- |
# | `clip-web` | captions of the web set | zero-shot CLIP |
# | `clip-captions` | captions of base pictures only | CLIP on ImageNet-Captions |
# | `supervised` | labels of base | the ordinary classifier |
# | `supervised-web` | labels of the web set | the data of `clip-web` without its language |
# | `finetuned` | `clip-web`, then labels of base | finetuned CLIP |
# | `random-init` | nothing | the architecture alone |
#
# Every chapter asks its question of all of them. The recipes are in the table `regimes.csv` of the library, the
# checkpoints in `data/miniature/`, and `featurelens miniature train --only NAME` trains any of them again.

# %% [markdown]
# ## How a page is made
#
# Each page has the same form: what you will learn; a numbered claim; the code that measures it; a figure with a
# description; what would falsify the claim; exercises; a {term}`stamp`. The claims are written
# to a file, and a test computes them again and compares.
#
# The sources are the files in `chapters/`. To change a page, edit its source and run:
#
# ```
# make refresh    # executes the pages that your change made stale
# make book       # renders the site; executes nothing
# ```
#
# To see one number computed by you and not by us, delete `data/results/00-how-to-read-vectors.published.csv`,
# run `FEATURELENS_SCALE=published make refresh`, and look at the date under the figure.

# %% [markdown]
# ## Exercises
#
# ::::{exercise} The tallest coordinate
# :label: ex-tour
#
# `vectors` has a column `kurtosis`, the same for all coordinates of one network. A vector of 512 coordinates with
# a single entry that is not zero has the largest kurtosis there can be, $D - 2 + 1/(D - 1) = 510.00$. Estimate from
# the figure alone what share of the trained network's kurtosis its tallest coordinate accounts for, then compute it.
# ::::
#
# ::::{solution} ex-tour
# :class: dropdown
#
# The coordinate sits about 14 standard deviations high. Its fourth power, $14.2^4 \approx 41{,}000$, divided by
# $D = 512$ is about 80, out of a kurtosis of 87: one coordinate of 512 accounts for more than nine tenths. In code:
#
# ```python
# trained = vectors[vectors["weights"] == "trained"]
# (trained["activation"].abs().max() ** 4 / len(trained)) / trained["kurtosis"].iloc[0]
# ```
#
# This is a little low, because the mean of a fourth power is at least the fourth power of the mean. The chapter on
# outlier features splits kurtosis by coordinate exactly.
# ::::

# %% [markdown]
# ```{exercise-start} How tall is tall?
# :label: ex-by-luck
# ```
# The tallest coordinate of the untrained network is 2.6 standard deviations high. Is that more than luck? Draw 512
# Gaussian numbers, take the largest size among them, and do so two thousand times. What is the mean?
# ```{exercise-end}
# ```

# %% [markdown]
# ```{solution-start} ex-by-luck
# :class: dropdown
# ```

# %% tags=["solution"]
drawn = (
    torch.randn(2000, 512, generator=torch.Generator().manual_seed(0))
    .abs()
    .max(1)
    .values
)
print(f"mean {drawn.mean():.2f}, largest {drawn.max():.2f}")

# %% [markdown]
# The tallest of 512 is expected above 3: the untrained network has none that is tall. None of two thousand draws
# comes near 14. With many coordinates *something* always stands out a little, so that "the largest one" has to be
# compared with the largest one of luck.
#
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise-start} Do the clouds touch?
# :label: ex-clouds
# ```
# `scored` holds the models of the left panel; `regime` is how they were trained and `er` their effective robustness.
# By how many points is the least robust zero-shot model (`clip-web`) above the most robust model of any other regime?
# What does this number not say?
# ```{exercise-end}
# ```

# %% [markdown]
# ```{solution-start} ex-clouds
# :class: dropdown
# ```

# %% tags=["solution"]
lowest = scored.groupby("regime")["er"].min()
highest = scored.groupby("regime")["er"].max()
others = highest.drop("clip-web")
print(
    f"{lowest['clip-web']:.2f} - {others.max():.2f} ({others.idxmax()}) = {lowest['clip-web'] - others.max():.2f}"
)

# %% [markdown]
# They do not touch, by less than half a point. Every zero-shot model is above every other one, but the gap is that of
# two extremes among hundreds of models: one model more may close it. The medians, 22 points apart, are the sturdier
# statement. And the best of the others is a *finetuned CLIP*: what it kept, it kept from there.
#
# ```{solution-end}
# ```
#
# ## Further reading
#
# - {cite:t}`crabbe2024` is the paper that this book starts from; its first version {cite:p}`crabbe2023` claims more.
# - {cite:t}`geirhos2020` explain why a network that is right on photographs may be right for a reason that sketches
#   lack.
# - {cite:t}`radford2021` show, in a few pages on natural shifts, the observation that all of this grew from.
