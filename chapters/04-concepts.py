# %% [markdown]
# # Concepts
#
# What does a direction of feature space respond to? The third step of *Interpreting CLIP* labels directions
# with human concepts: colours, parts, materials, scenes. It finds that zero-shot CLIP encodes more concepts
# than its controls. In the first version this is a signature of robustness {cite:p}`crabbe2023`; in the
# second it is not, and language supervision is the suspect {cite:p}`crabbe2024`. This page builds the
# measurement, takes it apart, and asks the question of networks in which language and data can be separated.
#
# :::{admonition} What you will learn
# - to compute the average precision of a direction for a concept, exactly under ties;
# - to see that the number of encoded concepts is made by the choice of negatives and of the threshold;
# - to compare with what random directions and luck would find;
# - to decide whether the count follows robustness or language, and what superposition has to do with it.
#
# You need: precision and recall, {doc}`03-privileged-directions`. Reading: 40 minutes. Running: under a minute
# from stored tables.
# :::

# %%
import pandas as pd
import torch
from IPython.display import Markdown
from scipy import stats

from featurelens import (
    candidates,
    claims,
    concepts,
    explorers,
    explorers_miniature,
    kernels,
    overlap,
    plots,
    probing,
    results,
    superposition,
    toy,
    word_relations,
    words,
)
from featurelens.figures import concepts as figures
from featurelens.figures import overlap as overlaps
from featurelens.figures import superposition as super_figures
from featurelens.figures import words as word_figures
from featurelens.figures.concept_browser import browser
from featurelens.miniature import concepts as small
from featurelens.miniature import grown

plots.use_style()
book = claims.Claims("04-concepts")

# %% [markdown]
# ## Average precision
#
# A direction $v$ gives each image a score, $v^\top h$. It detects a concept if the images that show it come
# first.
#
# :::{prf:definition} Average precision, encoded concept
# :label: def-average-precision
#
# Call positive all images with at least a given score. With thresholds from high to low, precision $P_n$ and
# recall $R_n$, the average precision is
#
# $$\mathrm{AP} = \sum_n (R_n - R_{n-1})\, P_n ,$$
#
# where images of equal score pass the threshold together. A concept is *encoded* if some direction, or its
# opposite, reaches an average precision of at least 0.9.
# :::
#
# The threshold is this book's; what other values give is shown. A direction and its opposite both count,
# since the sign of a singular vector means nothing. Directions are the coordinates of the feature space, or
# the right singular vectors of the head, or random ones.


# %%
def plain_average_precision(score_N, present_N):
    """The definition above, one threshold at a time."""
    ap, recall = 0.0, 0.0
    for threshold in score_N.unique().flip(0):
        chosen_N = score_N >= threshold
        now = (chosen_N & present_N).sum() / present_N.sum()
        ap += (now - recall) * (chosen_N & present_N).sum() / chosen_N.sum()
        recall = now
    return ap


random = torch.Generator().manual_seed(0)
scores_NK = torch.randn(200, 3, generator=random).round(decimals=1)  # many ties
present_NT = torch.rand(200, 4, generator=random) < 0.3
ap_KT = kernels.average_precision(scores_NK, present_NT)
plain = [
    [plain_average_precision(scores_NK[:, k], present_NT[:, t]) for t in range(4)]
    for k in range(3)
]
torch.testing.assert_close(ap_KT, torch.tensor(plain).double(), rtol=1e-5, atol=1e-6)

# %% [markdown]
# The library sorts each direction once and visits only the images that have a concept, a thousand times as
# fast as scikit-learn pair by pair and equal to it to twelve digits.
#
# ## How much is luck?
#
# With few images, something among hundreds of directions fits any concept. We draw scores at random, $n$
# images with and $n$ without a concept, and ask how often the best of 512 directions reaches 0.9.

# %%
rows = []
for n in (10, 15, 20, 30):
    hits = 0
    for draw in range(40):
        random = torch.Generator().manual_seed(draw)
        scores_NK = torch.randn(2 * n, 512, generator=random)
        present_NT = (torch.arange(2 * n) < n)[:, None]
        best = kernels.average_precision_signed(scores_NK, present_NT).max().item()
        hits += best >= concepts.THRESHOLD
    rows.append({"images with the concept": n, "found by luck (%)": 100 * hits / 40})
luck = pd.DataFrame(rows).set_index("images with the concept")
luck

# %% tags=["hide-input"]
gauss = {
    "scale": "miniature",
    "source": "512 Gaussian directions, 40 draws, equal numbers of negatives",
}
book.record(
    "luck with 10 images",
    luck.loc[10].item() / 100,
    at_least=0.5,
    text="With ten images of each kind, luck encodes most concepts.",
    **gauss,
)
book.record(
    "luck with 30 images",
    luck.loc[30].item() / 100,
    equals=0,
    text="With thirty images of each kind, luck encodes none.",
    **gauss,
)

# %% [markdown]
# So a concept needs at least 20 to 30 images, and a count needs its level of luck beside it. Below, labels
# are shuffled among the images and all directions searched again.
#
# The other choice is the *negatives*. Against all images without the concept (*prevalence*), chance is the
# concept's share of the images, and a rare concept is nearly impossible to detect at 0.9. Against as many
# images as there are with it (*balanced*), chance is one half for every concept. The paper's rule is not known
# to us; its source in {cite:t}`suau2020` uses sets of positives and negatives per concept. We show both.

# %% [markdown]
# ## The paper's counts
#
# The first version draws how many Broden concepts three encoders of one architecture share: zero-shot CLIP,
# CLIP finetuned on ImageNet, and a network supervised on ImageNet. These are the authors' numbers, redrawn
# {cite:p}`crabbe2023`; nothing here was computed by us.

# %% mystnb={"figure": {"name": "fig-paper-overlap", "caption": "Concepts encoded by zero-shot, finetuned and supervised encoders of four backbones, by exclusive regions; the numbers of the first version's figure."}, "image": {"alt": "Four panels of bars with a dot matrix below. In each backbone the largest region is that of all three encoders, 237 to 516 concepts. Zero-shot CLIP has more concepts of its own than finetuned and supervised encoders, 77 to 105 against 4 to 51."}}
paper = overlap.paper()
overlaps.upset(paper)

# %%
totals = pd.DataFrame({backbone: found.totals for backbone, found in paper.items()}).T
totals.assign(union=[found.union for found in paper.values()])

# %% [markdown]
# Zero-shot CLIP is above both controls in each backbone, by 67 to 130 concepts, and supervised encoders are at or
# above finetuned ones. Every encoder lacks many concepts that another has, so *which* concepts are encoded
# differs as well as how many. These counts have neither error bars nor a level of luck, and the two ViTs have
# far more than the two ResNets; the width of the searched space differs between them.

# %% [markdown]
# ## Real pictures
#
# The supervised EfficientNets are the real networks we can run. Their 1,280 features, on textures of DTD
# {cite:p}`cimpoi2014`, on drawings and photographs of PACS {cite:p}`li2017`, on street scenes of CamVid
# {cite:p}`brostow2009`, with colours computed from the pixels.

# %%
probed = results.table(
    "04-published-probing",
    "published",
    probing.table,
    source="EfficientNet-Lite on DTD, PACS and CamVid pictures",
)
Markdown(results.caption(probed))

# %% mystnb={"figure": {"name": "fig-probing", "caption": "Average precision of the best direction of EfficientNet-Lite0 for concepts of three image sets, with balanced negatives: best coordinate, best right singular vector of the head, best random direction, and the level of luck. Dashed: 0.9."}, "image": {"alt": "Three panels of marks per concept. Textures of DTD lie between 0.78 and 0.96 and about half pass 0.9; their colours lie between 0.6 and 0.8. In PACS, drawings that are sketches pass 0.9, other styles and all objects lie between 0.70 and 0.90. Cars and signs of CamVid pass 0.9. Best coordinates, best singular vectors and best random directions lie close together everywhere; luck lies between 0.55 and 0.77."}}
SETS = {"DTD": "DTD", "PACS": "PACS", "CamVid": "CamVid"}
figures.probed(
    probed[probed["model"] == "efficientnet-lite0"], SETS, concepts.THRESHOLD
)

# %%
found = probed.assign(encoded=probed["ap"] >= concepts.THRESHOLD)
counts = found.groupby(["set", "category", "model", "kind"], sort=False)["encoded"].agg(
    ["sum", "size"]
)
counts["sum"].unstack().assign(of=counts["size"].unstack().iloc[:, 0]).rename_axis(
    columns=None
)

# %% [markdown]
# Textures are detected well, which fits what is known of ImageNet networks {cite:p}`geirhos2019`; colours hardly
# better than luck allows; objects of PACS poorly, because three quarters of them are drawn. And in most cases
# a *random* direction does as well as the best coordinate or singular vector. The next section meets this
# again, with numbers.

# %% tags=["hide-input"]
on_pictures = {"scale": "published", "source": "04-published-probing"}
lite0 = probed[probed["model"] == "efficientnet-lite0"].pivot_table(
    "ap", ["set", "category"], "kind"
)
for (name, category), low, high in (
    (("DTD", "texture"), 0.86, 0.92),
    (("DTD", "color"), 0.68, 0.74),
    (("PACS", "style"), 0.87, 0.91),
    (("PACS", "object"), 0.77, 0.82),
):
    book.record(
        f"mean average precision, {name} {category}, EfficientNet-Lite0",
        lite0.loc[(name, category), "features"],
        at_least=low,
        at_most=high,
        text="Mean over concepts of the best coordinate's average precision, balanced negatives.",
        **on_pictures,
    )
book.record(
    "largest lead of coordinates over random directions, mean of a category",
    (lite0["features"] - lite0["random"]).max(),
    at_most=0.05,
    text="Random directions are nearly as good as coordinates for every category.",
    **on_pictures,
)

# %% [markdown]
# (miniature-concepts)=
# ## The miniature: robustness or language?
#
# The {term}`miniature` was drawn, so its concepts are known for every pixel: 75 of them in Broden's six
# categories {cite:p}`bau2017`. Labels per image cannot tell petals from flowers, as each flower has petals;
# of concepts that are in the same images we keep one, which leaves 50. They are searched in 4,000 ordinary
# images.

# %%
counted = results.table(
    "04-miniature-counts",
    "miniature",
    small.count_table,
    source="features of the miniature's networks on base-val, concepts from its masks",
)
Markdown(results.caption(counted))

# %% mystnb={"figure": {"name": "fig-concept-sweep", "caption": "Encoded concepts of the miniature's networks against the threshold, coordinates before the projection: mean and range over networks of a regime, for both choices of negatives."}, "image": {"alt": "Two panels of falling curves, one per training regime, over thresholds from 0.5 to 0.95. With balanced negatives all start at 50 concepts; at 0.9 trained networks have 15 to 19 and untrained ones 5. With all images as negatives trained networks fall from 35 to 40 at 0.5 to between 0 and 6 at 0.9. The trained regimes lie close together throughout."}}
coordinates = counted[(counted["kind"] == "features") & (counted["point"] == "pre")]
figures.sweep(
    coordinates,
    {"balanced": "as many negatives", "prevalence": "all negatives"},
    "negatives",
)

# %% [markdown]
# Two things before any comparison. The count runs from 50 to 0 with the threshold, and at 0.9 it is 15 to 19 or
# near 0, depending on the negatives. A number of encoded concepts means nothing without both.
#
# And random directions?

# %% mystnb={"figure": {"name": "fig-concept-kinds", "caption": "Concepts encoded at 0.9 with balanced negatives, one mark a network: by coordinates, by right singular vectors of the head, and by as many random directions as there are coordinates."}, "image": {"alt": "Two panels, before the projection and in the joint space, one row per regime. For every trained regime coordinates and random directions both detect between 13 and 19 of 50 concepts; the twelve right singular vectors of the head detect 5 to 14. Untrained networks have 4 to 6 by coordinates and by random directions alike."}}
at_threshold = counted[
    (counted["threshold"] == concepts.THRESHOLD) & (counted["negatives"] == "balanced")
]
POINTS = {"pre": "before the projection", "joint": "joint space"}
figures.kinds(at_threshold, POINTS, "point", total=int(counted["concepts"].max()))

# %%
by_kind = (
    at_threshold[at_threshold["regime"] != "random-init"]
    .groupby(["point", "kind"])["count"]
    .mean()
)
by_kind.unstack().round(1)

# %% tags=["hide-input"]
mini = {"scale": "miniature", "source": "04-miniature-counts"}
features_and_random = by_kind.unstack()
book.record(
    "concepts that coordinates encode beyond random directions, before the projection",
    features_and_random.loc["pre", "features"]
    - features_and_random.loc["pre", "random"],
    at_most=2,
    text="Random directions detect nearly as many concepts as the coordinates do.",
    **mini,
)
book.record(
    "concepts encoded by luck",
    at_threshold["luck"].max(),
    equals=0,
    text="With shuffled labels no coordinate reaches 0.9 for any concept.",
    **mini,
)
untrained = at_threshold[
    (at_threshold["regime"] == "random-init") & (at_threshold["kind"] == "features")
]
book.record(
    "concepts encoded by untrained networks",
    untrained["count"].mean(),
    equals=5,
    tol=1.5,
    text="Untrained networks encode about five concepts, colours and scenes.",
    **mini,
)

# %% [markdown]
# :::{prf:observation} Any directions will do
# :label: obs-any-directions
#
# With balanced negatives, random directions encode about as many concepts as the coordinates, and more than
# the head's singular vectors, of which there are only twelve. The count is a property of the features and of
# how many directions are tried, not of special directions.
# :::
#
# This is no luck: shuffled labels give zero. A concept that is easy to read off by a linear map is read off
# fairly well by a direction that lies at an angle to it, and among a hundred random ones some do.
#
# ### The deciding regimes
#
# If the count follows robustness, `clip-web` and `supervised-web` must be above `clip-captions` and
# `supervised`. If it follows language, the networks with captions must be above those with labels.

# %%
pre = at_threshold[
    (at_threshold["point"] == "pre") & (at_threshold["kind"] == "features")
]
by_regime = pre.groupby(["backbone", "regime"])["count"].mean().unstack()
square = pd.concat(
    {
        backbone: pd.DataFrame(
            {
                "captions": [
                    by_regime.loc[backbone, "clip-web"],
                    by_regime.loc[backbone, "clip-captions"],
                ],
                "labels": [
                    by_regime.loc[backbone, "supervised-web"],
                    by_regime.loc[backbone, "supervised"],
                ],
            },
            index=["web images (robust)", "base images (fragile)"],
        )
        for backbone in ("resnet", "vit")
    }
)
square.round(1)

# %%
er = results.bare(results.read("03-miniature-robustness", "miniature"))
whole = er[(er["order"] == "importance") & (er["k"] == er["k"].max())].set_index(
    "model"
)
compared = pre[pre["regime"] != "random-init"].join(
    whole[["sketch", "rendition"]], on="model"
)
rho, p = stats.spearmanr(compared["count"], compared["sketch"])
Markdown(
    f"Rank correlation of the count with effective robustness on sketches, over {len(compared)} trained "
    f"networks: {rho:.2f} (p = {p:.2f})."
)

# %% tags=["hide-input"]
for name, value, low, high in (
    (
        "robust minus fragile, captions",
        square.loc[("resnet",)].iloc[0, 0] - square.loc[("resnet",)].iloc[1, 0],
        -3,
        0,
    ),
    (
        "robust minus fragile, labels",
        square.loc[("resnet",)].iloc[0, 1] - square.loc[("resnet",)].iloc[1, 1],
        -4,
        -1,
    ),
    (
        "captions minus labels, web images",
        square.loc[("resnet",)].iloc[0, 0] - square.loc[("resnet",)].iloc[0, 1],
        0.5,
        4,
    ),
    (
        "captions minus labels, base images",
        square.loc[("resnet",)].iloc[1, 0] - square.loc[("resnet",)].iloc[1, 1],
        -1.5,
        1.5,
    ),
):
    book.record(
        f"encoded concepts, {name}",
        value,
        at_least=low,
        at_most=high,
        text="Difference of encoded concepts between regimes, ResNets before the projection.",
        **mini,
    )
book.record(
    "rank correlation of the count with effective robustness on sketches",
    rho,
    at_most=0.0,
    text="More concepts do not go with more robustness.",
    **mini,
)

# %% mystnb={"figure": {"name": "fig-concepts-robustness", "caption": "Encoded concepts (coordinates before the projection, balanced negatives, 0.9) against effective robustness, one mark a network; circles ResNets, triangles ViTs."}, "image": {"alt": "Two scatter plots, for sketches and renditions. Counts lie between 15 and 20 whatever the effective robustness, from minus 10 to plus 75 points; the most robust networks have slightly fewer concepts than the fragile ones."}}
figures.against_robustness(compared, {"sketch": "sketches", "rendition": "renditions"})

# %% [markdown]
# Not robustness: within captions and within labels, the robust networks encode *fewer* concepts. Language, by
# one comparison of two. The counts differ by less than four of fifty, so we look at what is counted.

# %%
best = results.table(
    "04-miniature-best",
    "miniature",
    small.best_table,
    source="features of the miniature's networks where their heads read, concepts from its masks",
)
tall = results.bare(best).melt(
    ["concept", "category"], var_name="model", value_name="ap"
)
tall["regime"] = tall["model"].str.replace(r"-(resnet|vit)-s\d$", "", regex=True)
by_category = (
    tall.groupby(["regime", "model", "category"], sort=False)["ap"].mean().reset_index()
)

# %% mystnb={"figure": {"name": "fig-concept-categories", "caption": "Mean average precision of the best coordinate for the concepts of each category, one mark a network."}, "image": {"alt": "Six panels, one per category of concepts, with one row per regime. Scenes are detected best by networks with captions, at 0.91 to 0.94, and by untrained ones at 0.91, against 0.81 to 0.86 for labels and finetuning. Objects and parts are highest for supervised and finetuned networks. Colours are a little higher with captions, textures and materials nearly equal."}}
ORDER = ["color", "texture", "material", "part", "object", "scene"]
figures.categories(by_category, ORDER)

# %% tags=["hide-input"]
mean_ap = by_category.groupby(["regime", "category"])["ap"].mean()
on_best = {"scale": "miniature", "source": "04-miniature-best"}
with_captions = mean_ap.unstack().loc[["clip-web", "clip-captions"]]
with_labels = mean_ap.unstack().loc[["supervised", "supervised-web", "finetuned"]]
for category, sign in (("scene", 1), ("color", 1), ("object", -1), ("part", -1)):
    low = with_captions if sign > 0 else with_labels.loc[["supervised"]]
    high = with_labels if sign > 0 else with_captions
    book.record(
        f"{category}: regimes {'with captions over labels' if sign > 0 else 'supervised over captions'}",
        low[category].min() - high[category].max(),
        at_least=0.01,
        text="Captions name scenes and colours and labels do not: the networks keep what they were asked for.",
        **on_best,
    )

# %% [markdown]
# Here is a clear answer. Captions of this world mention scenes and colours, labels do not. Networks with
# captions detect scenes better (0.91 to 0.94 against 0.81 to 0.86) and colours a little better, networks with
# labels detect objects and their parts better. Finetuning, which replaces captions by labels, loses the
# scenes. Untrained networks have scenes and colours for free, since these fill the picture.
#
# The same shows region by region. A regime encodes a concept here if two of its three ResNets do.

# %% mystnb={"figure": {"name": "fig-regime-overlap", "caption": "Concepts encoded by the miniature's regimes, by exclusive regions: coordinates where the heads read, balanced negatives, 0.9, two of three ResNets."}, "image": {"alt": "Bars with a dot matrix of five regimes. Most encoded concepts are shared by all regimes; the next regions hold one to three concepts each."}}
resnets = tall[tall["model"].str.contains("resnet") & (tall["regime"] != "random-init")]
majority = resnets.groupby(["regime", "concept"])["ap"].median() >= concepts.THRESHOLD
encoded = {
    regime: set(majority[regime][majority[regime]].index)
    for regime in majority.index.unique("regime")
}
overlaps.upset({"miniature": overlap.Overlap.of(encoded)}, plots.COLOURS)

# %%
everyone = set.intersection(*encoded.values())
pd.Series(
    {regime: ", ".join(sorted(found - everyone)) for regime, found in encoded.items()}
).rename(f"beyond the {len(everyone)} that all encode").to_frame()

# %% [markdown]
# :::{prf:observation} Networks keep what they were asked for
# :label: obs-asked-for
#
# In the miniature the kind of supervision decides *which* concepts are encoded; it hardly changes how many,
# and robustness does neither.
# :::
#
# **What would falsify it.** A pair of regimes that differ in data alone, of which the robust one encodes more
# concepts at every threshold.
#
# ### With outlier features
#
# The network with outlier features of {doc}`02-outlier-features` learned from the captions of `clip-web`. Do
# outliers come with more concepts?

# %%
with_outliers = results.table(
    "04-miniature-grown",
    "miniature",
    lambda: small.count_table([grown.NAME]),
    source="features of clip-outliers-resnet-s0 on base-val, concepts from its masks",
)
beside = pd.concat([with_outliers, counted[counted["regime"] == "clip-web"]])
beside = beside[
    (beside["threshold"] == concepts.THRESHOLD) & (beside["negatives"] == "balanced")
]
beside = beside[beside["backbone"] == "resnet"]
by_point = beside.pivot_table("count", ["point", "kind"], "model")
by_point.round(1)

# %% tags=["hide-input"]
in_features = by_point.loc[("pre", "features")]
book.record(
    "concepts of the network with outlier features minus the fewest of a clip-web ResNet",
    in_features[grown.NAME] - in_features.drop(grown.NAME).min(),
    at_most=0,
    text="Outlier features come with no more concepts.",
    scale="miniature",
    source="04-miniature-grown",
)

# %% [markdown]
# They come with fewer before the projection, and with about as many in the joint space. One coordinate less
# is free for anything else, which is a small price, and the training that grows outliers is a rough one.
#
# ### How mixed are directions?
#
# A direction that detects several concepts is *polysemantic*. We count the concepts of each direction that
# detects any, and the entropy of their categories.

# %%
mixed = results.table(
    "04-miniature-mixture",
    "miniature",
    small.mixture_table,
    source="features of the miniature's networks where their heads read, concepts from its masks",
)
columns = ["detecting", "concepts", "most", "entropy"]
mixed[mixed["kind"] == "features"].groupby(["regime", "backbone"], sort=False)[
    columns
].mean().round(2)

# %% tags=["hide-input"]
of_features = mixed[(mixed["kind"] == "features") & (mixed["regime"] != "random-init")]
book.record(
    "concepts per detecting coordinate, most in any network",
    of_features["concepts"].max(),
    at_most=1.6,
    text="A coordinate that detects concepts detects one to one and a half of them on average.",
    scale="miniature",
    source="04-miniature-mixture",
)

# %% [markdown]
# *Detecting* is the share of coordinates that detect something, *concepts* how many these detect on average,
# *most* the largest number. Coordinates are hardly mixed by this measure: 1.1 to 1.6 concepts each, nearly
# always of one category. Finetuned networks are the most mixed. With a threshold of 0.9 this is to be
# expected: few pairs of concepts share so many images that one direction can have both.

# %% [markdown]
# (browse-concepts)=
# ### Search for yourself
#
# A number says that a direction detects a concept. The pictures say what it detects. Choose a concept and see its best
# directions; choose a direction and see its first pictures, and what else it detects. All is judged as above:
# coordinates where the head reads, balanced negatives.

# %%
judged = concepts.labels(small.concept_set(), "balanced")
searched = explorers_miniature.concept_searches(judged)
detected = results.table(
    "04-miniature-pairs",
    "miniature",
    lambda: explorers.pair_table(searched),
    source="features of the miniature's networks where their heads read, concepts from its masks",
)
browser(
    searched,
    judged,
    explorers_miniature.miniature_sheet(),
    "Concepts and directions of three miniature networks. Choose a concept, or a direction.",
    "snow",
    results.caption(detected),
)

# %% tags=["hide-input"]
on_pairs = {"scale": "miniature", "source": "04-miniature-pairs"}
for view, name in explorers_miniature.CONCEPT_VIEWS.items():
    book.record(
        f"largest difference between the browser and the table of best directions, {name}",
        (searched[view].found.best_T - torch.tensor(best[name].to_numpy()))
        .abs()
        .max()
        .item(),
        at_most=1e-5,
        text="The browser shows the average precisions that this page counts.",
        **on_pairs,
    )
by_direction = detected[detected["view"] != "random-init"].groupby(
    ["view", "direction"]
)
several = by_direction.agg({"concept": "size", "sense": "nunique"}).query("concept > 1")
book.record(
    "directions of clip-web and supervised that detect several concepts",
    len(several),
    equals=19,
    tol=1,
    text="Of 192 coordinates of two networks, 19 detect more than one concept.",
    **on_pairs,
)
book.record(
    "those that have them at both ends",
    (several["sense"] == 2).sum(),
    equals=15,
    tol=1,
    text="In 15 of them one concept comes first from the highest scores and another from the lowest.",
    **on_pairs,
)
objects = detected[detected["view"] != "random-init"].set_index(["view", "direction"])
umbrella, cat = (
    objects.loc[objects["concept"] == name, "sense"] for name in ("umbrella", "cat")
)
book.record(
    "directions that detect umbrellas at one end and cats at the other",
    (umbrella * cat == -1).sum(),
    equals=3,
    tol=1,
    text="Umbrellas and cats share an axis in three coordinates, at opposite ends.",
    **on_pairs,
)
snow_N, umbrella_N = (
    judged.present_NT[:, judged.names.index(name)] for name in ("snow", "umbrella")
)
book.record(
    "umbrellas that stand in snow",
    (snow_N & umbrella_N).sum().item() / umbrella_N.sum().item(),
    equals=0.62,
    tol=0.01,
    text="Sixty-two of a hundred umbrellas stand in snow.",
    **on_pairs,
)
pair = detected.query("view == 'clip-web' and direction == 55").set_index("concept")[
    "ap"
]
for name, value in (("snow", 0.927), ("umbrella", 0.922)):
    book.record(
        f"average precision of direction 55 of clip-web for {name}",
        pair[name],
        equals=value,
        tol=0.001,
        text="Direction 55 of clip-web detects snow and umbrellas, from the same end.",
        **on_pairs,
    )
first_N = searched["clip-web"].scores_PK[:, 55].argsort()[:12]
for name, present_N in (("snow", snow_N), ("umbrellas", umbrella_N)):
    book.record(
        f"first 12 pictures of direction 55 of clip-web that show {name}",
        present_N[first_N].sum().item(),
        equals=11,
        text="Eleven of its first twelve pictures show snow, and eleven show umbrellas.",
        **on_pairs,
    )

# %% [markdown]
# The best direction for *snow* in `clip-web`, number 55, has an average precision of 0.927, and eleven of its first
# twelve pictures show snow. Eleven also show an umbrella, which it detects nearly as well, with 0.922. In this world
# 62 % of the umbrellas stand in snow, as things in photographs have their usual places. A list that says "direction
# 55: snow" would hide that.
#
# :::{prf:observation} Two concepts, two ends
# :label: obs-two-ends
#
# In `clip-web` and `supervised` 19 of 192 coordinates detect several concepts. In 15 of them these lie at opposite
# ends: umbrellas at one, cats at the other.
# :::
#
# So a coordinate that is mixed by the count is mostly a contrast. Two objects can share an axis in this way, since no
# picture has both; whether the network pays for it was not measured.
#
# :::{admonition} A question to the browser
# Find a concept that no direction detects, and whose best direction shows it in nearly all of its first twelve
# pictures. Why is that no contradiction? Which of the two would you report?
# :::
#
# For features and concepts of your own, in a live notebook:
#
# ```python
# from featurelens import concepts, widgets
#
# judged = concepts.labels(my_concepts, "balanced")
# widgets.concepts(h_ND, judged, images=my_concepts.images)
# ```

# %% [markdown]
# ## Words on directions
#
# {doc}`03-privileged-directions` found that the first direction of a zero-shot head is its mean, and in CLIP
# ViT-B/32 lies in coordinates 133 and 312. Rows of these heads are words. Which of them lie far out?

# %%
WORD_HEADS = {"clip-b32/imagenet-photo": "ImageNet", "clip-b32/lvis": "LVIS"}
SCORES = {
    "v_1": "first direction",
    "v_2": "second direction",
    "coordinate 133": "coordinate 133",
}


def far_out():
    """Words at both ends of three scores, for two heads."""
    tables = {head: words.loadings(head) for head in WORD_HEADS}
    return pd.concat(
        [
            words.extremes(table, score).assign(head=head)
            for head, table in tables.items()
            for score in SCORES
        ]
    )


ends = results.table(
    "04-published-words",
    "published",
    far_out,
    source="ImageNet and LVIS heads of CLIP ViT-B/32",
)
Markdown(results.caption(ends))

# %% mystnb={"figure": {"name": "fig-words", "caption": "Class names of ImageNet at both ends of the first two directions of the head of CLIP ViT-B/32, and of coordinate 133; in standard deviations over the 1,000 names."}, "image": {"alt": "Three columns of words with dots. Highest on the first direction and on coordinate 133: web site, rifle, racer, cup, mailbag, prison; lowest: names of dog breeds such as Sussex spaniel, Kerry blue terrier and Gordon setter. On the second direction furniture and machines are highest and dog breeds lowest."}}
of_imagenet = ends[ends["head"] == "clip-b32/imagenet-photo"]
word_figures.extremes(
    {
        title: of_imagenet[of_imagenet["score"] == score]
        for score, title in SCORES.items()
    }
)

# %% [markdown]
# What do the words at an end have in common? We compare the scores with facts that are known of the words.


# %%
def related():
    """Rank correlations of the scores with facts known of the words."""
    return pd.concat(
        [
            word_relations.relations(words.loadings(head)).assign(head=head)
            for head in WORD_HEADS
        ]
    )


relations = results.table(
    "04-published-word-relations",
    "published",
    related,
    source="ImageNet and LVIS heads of CLIP ViT-B/32, and captions of COCO",
)
Markdown(results.caption(relations))

# %% mystnb={"figure": {"name": "fig-word-relations", "caption": "Rank correlation of the words' scores with their length, number of words and of tokens, and with how often they occur in captions of COCO; with 95 % bootstrap intervals."}, "image": {"alt": "Three panels of correlations with intervals. On the first direction and on coordinate 133, longer names of more tokens score lower, down to minus 0.55, and names that are frequent in captions score higher, up to 0.47, in both heads. On the second direction the two heads disagree about captions."}}
FACTS = {
    "letters": "letters",
    "words": "words",
    "tokens": "tokens",
    "captions": "in captions",
}
rank = relations[relations["measure"] == "spearman"]
word_figures.relations(rank, WORD_HEADS, SCORES, FACTS)

# %% tags=["hide-input"]
on_words = {"scale": "published", "source": "04-published-word-relations"}
value = relations.set_index(["head", "score", "fact", "measure"])["value"]
for head, fact, expected in (
    ("clip-b32/imagenet-photo", "tokens", -0.55),
    ("clip-b32/imagenet-photo", "captions", 0.47),
    ("clip-b32/lvis", "tokens", -0.39),
    ("clip-b32/lvis", "captions", 0.32),
):
    book.record(
        f"rank correlation of the first direction with {fact}, {head}",
        value[(head, "v_1", fact, "spearman")],
        equals=expected,
        tol=0.02,
        text="Short and common words lie far along the first direction, long and rare ones do not.",
        **on_words,
    )
for head, expected in (("clip-b32/imagenet-photo", 0.38), ("clip-b32/lvis", 0.25)):
    book.record(
        f"share of the first direction's variance that facts explain, {head}",
        value[(head, "v_1", "all", "explained")],
        equals=expected,
        tol=0.02,
        text="Length and frequency of a word explain part of its place on the first direction.",
        **on_words,
    )

# %% [markdown]
# The first direction orders words from the *general* to the *particular*: short and common ones (*toy*,
# *money*, *cup*) are near the mean of all, long and rare ones (*Kerry blue terrier*) far from it. Length and
# frequency explain a quarter to two fifths of it; much of the rest is that ImageNet has 118 breeds of dogs.
# Coordinates 133 and 312 order the words alike, and nearly as the first direction does. No word means
# anything *to* them: all have a large value there, and what varies is a few per cent. So the privileged
# direction of these heads has no concept of its own. It is what all words share.
#
# ## Superposition
#
# A network may have more concepts than dimensions if it lets their directions overlap
# {cite:p}`elhage2022`. When does that pay? A toy shows it: 20 inputs, each absent with probability $S$, have to
# pass through 5 hidden units, $\hat x = \mathrm{ReLU}(W^\top W x + b)$.

# %%
toys = results.table(
    "04-miniature-toy", "miniature", toy.table, source="toy models of superposition"
)

# %% mystnb={"figure": {"name": "fig-toy", "caption": "Toy models of superposition, one mark a seed: inputs that are represented per hidden unit, and loss relative to the best model without superposition, against how often an input is absent."}, "image": {"alt": "Two panels against sparsity. Inputs per hidden unit rise from 1 when all inputs are present to nearly 4 when they are absent 99 per cent of the time. The loss relative to no superposition falls from 1 to 0.23."}}
super_figures.toy(toys, toy.HIDDEN)

# %% mystnb={"figure": {"name": "fig-toy-products", "caption": "Products of the inputs' directions in two toy models: with dense inputs, and with inputs that are absent nine times in ten."}, "image": {"alt": "Two heat maps of 20 by 20 products. With dense inputs only the first five entries of the diagonal are filled. With sparse inputs most of the diagonal is filled, and entries off the diagonal show which inputs share directions."}}
products = results.table(
    "04-miniature-toy-products",
    "miniature",
    lambda: pd.concat(
        [toy.products(0.0).assign(sparsity=0.0), toy.products(0.9).assign(sparsity=0.9)]
    ),
    source="toy models of superposition",
)
super_figures.products(products)

# %% tags=["hide-input"]
by_sparsity = toys.groupby("sparsity")[["represented", "ratio"]].mean()
on_toys = {"scale": "miniature", "source": "04-miniature-toy"}
for sparsity, represented, ratio in (
    (0.0, 5.0, 1.0),
    (0.9, 12.4, 0.55),
    (0.99, 18.6, 0.23),
):
    book.record(
        f"inputs represented by 5 units, absent with probability {sparsity:g}",
        by_sparsity.loc[sparsity, "represented"],
        equals=represented,
        tol=1.5,
        text="The rarer the inputs, the more of them share the hidden units.",
        **on_toys,
    )
    book.record(
        f"loss relative to no superposition, absent with probability {sparsity:g}",
        by_sparsity.loc[sparsity, "ratio"],
        equals=ratio,
        tol=0.08,
        text="Superposition pays when inputs are rare.",
        **on_toys,
    )

# %% [markdown]
# With dense inputs five units keep the five most important ones, and no trick helps. With rare inputs they keep
# nearly all twenty, at a quarter of the loss. Superposition is a bet that two concepts will seldom come
# together.
#
# The miniature's networks have 64 dimensions or more for 50 concepts, so they *need* no superposition. Do their
# concepts overlap all the same? The direction of a concept is now the mean of images with it minus the mean of
# those without, and *interference* the $|\cos|$ of two such directions.

# %%
packed = results.table(
    "04-miniature-superposition",
    "miniature",
    superposition.miniature_table,
    source="features of the miniature's networks where their heads read, concepts from its masks",
)
Markdown(results.caption(packed))

# %% mystnb={"figure": {"name": "fig-interference", "caption": "Mean interference between the directions of 50 concepts, one mark a network: over all pairs, and over pairs whose labels are unrelated. Crosses: the same features with shuffled labels. Bars: random directions."}, "image": {"alt": "Two panels, one row per regime. Over all pairs trained networks lie between 0.25 and 0.33, near the level of shuffled labels, and untrained ones at 0.6. Over unrelated pairs networks with captions lie at 0.12 to 0.14, close to random directions at 0.10; supervised ones reach 0.26."}}
super_figures.interference(
    packed, {"mean": "all pairs", "unrelated": "unrelated pairs"}
)

# %%
columns = [
    "width",
    "mean",
    "unrelated",
    "shuffled",
    "random",
    "effective_rank",
    "own_dimension",
]
packed.groupby(["backbone", "regime"], sort=False)[columns].mean().round(2)

# %% tags=["hide-input"]
tight = (
    packed[packed["backbone"] == "resnet"]
    .groupby("regime")[["mean", "effective_rank"]]
    .mean()
)
on_packed = {"scale": "miniature", "source": "04-miniature-superposition"}
for robust, fragile in (
    ("clip-web", "clip-captions"),
    ("supervised-web", "supervised"),
):
    book.record(
        f"interference, {robust} over {fragile}",
        tight.loc[robust, "mean"] - tight.loc[fragile, "mean"],
        at_least=0.01,
        text="On ordinary images, concepts of robust ResNets overlap slightly more.",
        **on_packed,
    )
book.record(
    "largest effective rank of 50 concept directions in a trained network",
    packed.loc[packed["regime"] != "random-init", "effective_rank"].max(),
    at_most=12,
    text="Fifty concepts fill about ten dimensions.",
    **on_packed,
)

# %% [markdown]
# They overlap a great deal. Fifty concepts fill only seven to ten dimensions of 64 or 128. But most of this is
# not superposition: labels that go together (windows and houses) give directions that go together, and
# directions of *shuffled* labels overlap nearly as much, since any difference of means leans to where
# features vary most. Pairs of unrelated concepts in CLIP networks overlap hardly more than random directions.
#
# In both pairs that differ in data alone the robust ResNets pack these concepts slightly tighter, as *more
# concepts in superposition* would have it. A second set of images decides against building on it. In
# `objectnet` objects have none of their usual colours and places, and fewer labels go together.

# %%
elsewhere = results.table(
    "04-miniature-superposition-objectnet",
    "miniature",
    lambda: superposition.miniature_table("objectnet"),
    source="the same networks on the miniature's objectnet",
)
pd.DataFrame(
    {
        name: table[table["backbone"] == "resnet"].groupby("regime")["mean"].mean()
        for name, table in {"base": packed, "objectnet": elsewhere}.items()
    }
).loc[["clip-web", "clip-captions", "supervised-web", "supervised"]].round(3)

# %% tags=["hide-input"]
there = elsewhere[elsewhere["backbone"] == "resnet"].groupby("regime")["mean"].mean()
book.record(
    "interference on objectnet, clip-web over clip-captions",
    there["clip-web"] - there["clip-captions"],
    at_most=0.0,
    text="On another image set the difference between the CLIP regimes has the other sign.",
    scale="miniature",
    source="04-miniature-superposition-objectnet",
)

# %% [markdown]
# There the CLIP pair is reversed. So the miniature gives no consistent answer to whether robust networks hold
# more in superposition, and a difference of means is one choice of direction among several.

# %% [markdown]
# ## At the paper's scale
#
# The paper counts concepts on Broden, 63,305 images with 1,197 concepts. Where its folder is at hand,
# `--concepts broden1_224` adds it to a run. Counts are given for coordinates, right singular vectors and random
# directions alike, at every threshold; negatives are balanced.

# %%
from featurelens.paper import shown

columns = ["model", "regime", "kind", "directions", "concepts", "threshold", "count"]
shown.show("04-paper-concepts", ("val",), columns)

# %% [markdown]
# ## What holds, and what we could not check
#
# - **Holds**: untrained networks encode few concepts, trained ones many more, and luck none.
# - **Does not hold in the miniature**: that robust networks encode more. The kind of supervision shifts which
#   concepts are encoded, by category.
# - **Is made by the method**: the number itself. Threshold, negatives, and how many directions are tried
#   change it more than any regime does; random directions do as well as coordinates.
# - **Could not be checked here**: Broden {cite:p}`bau2017` with the paper's encoders. The reader for it is in
#   the library (`conceptsets.load`, `featurelens dissect`); it needs the `paper` scale.

# %% [markdown]
# ## Exercises
#
# ```{exercise-start} All scores equal
# :label: ex-all-equal
# ```
# What is the average precision of a direction that gives every image the same score? And of one that puts all
# images with the concept last? Predict both for a concept in 30 of 100 images, then compute them.
# ```{exercise-end}
# ```

# %% [markdown]
# ```{solution-start} ex-all-equal
# :class: dropdown
# ```

# %% tags=["solution"]
present_NT = (torch.arange(100) < 30)[:, None]
worst_N = -present_NT[:, 0].float() + 0.001 * torch.arange(100)
scores_NK = torch.stack([torch.zeros(100), worst_N], 1)
kernels.average_precision(scores_NK, present_NT).flatten()

# %% [markdown]
# The prevalence, 0.3, and 0.17: even the worst ranking has some precision once everything is included. A
# common wrong answer for the first is 0.5; that is the area under the ROC curve.
#
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise-start} More directions, more concepts
# :label: ex-more-directions
# ```
# Search `clip-web-resnet-s0` (joint space) with 16, 64, 256 and 1,024 random directions. How does the number
# of encoded concepts grow? What does it say about comparing networks of different width?
# ```{exercise-end}
# ```

# %% [markdown]
# ```{solution-start} ex-more-directions
# :class: dropdown
# ```

# %% tags=["solution"]
h_ND, _ = small.searched("clip-web-resnet-s0")["joint"]
judged = concepts.labels(small.concept_set(), "balanced")
many_DK = candidates.random_directions(h_ND.shape[1], 1024, seed=5)
{
    k: len(concepts.detect(h_ND, many_DK[:, :k], judged).encoded())
    for k in (16, 64, 256, 1024)
}

# %% [markdown]
# It keeps growing. A network of twice the width brings twice the directions to the search and would encode
# more concepts even if its features were no better. Compare at an equal number of directions, or say by how
# much they differ.
#
# ```{solution-end}
# ```

# %% [markdown]
# ```{exercise-start} A fairer reader
# :label: ex-fairer-reader
# ```
# Instead of the best coordinate, use the difference of the means of images with and without a concept as its
# direction, from one half of the images, and judge it on the other. How many concepts does `clip-web-resnet-s0`
# encode then?
# ```{exercise-end}
# ```

# %% [markdown]
# ```{solution-start} ex-fairer-reader
# :class: dropdown
# ```

# %% tags=["solution"]
half_N = torch.arange(len(h_ND)) % 2 == torch.arange(len(h_ND)) // 12 % 2
direction_DT = torch.stack(
    [
        h_ND[half_N & present].mean(0) - h_ND[half_N & ~present].mean(0)
        for present in small.concept_set().present_NT.T
    ],
    1,
)
other = concepts.labels(small.concept_set(), "balanced", rows=(~half_N).nonzero()[:, 0])
own = concepts.detect(h_ND[~half_N], direction_DT, other).ap_2KT[0].diagonal()
int((own >= concepts.THRESHOLD).sum())

# %% [markdown]
# One direction per concept, told what to look for, finds more than the best of 64 coordinates. The features
# know more than their coordinates show: what coordinates detect is a lower bound.
#
# ```{solution-end}
# ```

# %% [markdown]
# ## Further reading
#
# - {cite:t}`bau2017` made the concepts and their masks, and count units of networks with them; {cite:t}`fong2018` show that
#   concepts lie in combinations of units rather than in single ones.
# - {cite:t}`oikarinen2023` name units without any masks, by CLIP itself; {cite:t}`bhalla2024` write a CLIP embedding as a
#   sparse sum of words. Both need a vocabulary, as the section on words does.
# - {cite:t}`goh2021` look at single neurons of CLIP that fire for one person or topic in photographs, drawings and writing.
# - {cite:t}`elhage2022` is the toy model of superposition, and the best first reading on it.
#
# ## What comes next
#
# Three measures, three chapters, one question: which of them tells robust models from fragile ones without
# shifted data? {doc}`05-controls` puts all of them side by side.

# %%
book.write()
