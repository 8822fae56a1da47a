# %% [markdown]
# # Controls
#
# The chapters so far measured three things in robust encoders: outlier features, privileged directions,
# concepts. Each is a sign of robustness only if it is absent where robustness is. *Interpreting CLIP*
# {cite:p}`crabbe2024` therefore rests on its controls: the same backbone supervised on ImageNet, CLIP
# finetuned on ImageNet, and CLIP trained on ImageNet-Captions, which has the language and the loss of CLIP but
# not its data. This page puts all signatures and all regimes side by side, and then asks what the comparison
# cannot answer: when do outlier features appear at all?
#
# :::{admonition} What you will learn
# - to state what a signature must do to pass as one, as three tests;
# - to see which signature passes which test, on real encoders and in the miniature;
# - to read a designed experiment: which settings of training make outlier features, and which do not;
# - to walk from a zero-shot to a finetuned network in weight space.
#
# You need: the chapters before this one. Reading: 35 minutes. Running: a few minutes; the training runs are
# stored.
# :::

# %%
import numpy as np
import pandas as pd
from IPython.display import Markdown
from scipy import stats

from featurelens import (
    association,
    claims,
    controls,
    effects,
    gap,
    heads,
    plots,
    results,
    robustness,
)
from featurelens.figures import controls as figures
from featurelens.figures import sweep as sweep_figures
from featurelens.miniature import controls as small
from featurelens.miniature import evaluate, sets, sweep, wiseft
from featurelens.miniature import privileged as small_heads

plots.use_style()
book = claims.Claims("05-controls")

# %% [markdown]
# ## Three tests
#
# The argument of the paper's second version, as we read it, is a conjunction.
#
# :::{prf:definition} The three tests of a signature
# :label: def-three-tests
#
# 1. **Present**: every robust encoder has it.
# 2. **Absent**: no control that is not robust has it, whatever else it shares with the robust ones.
# 3. **In step**: among many encoders, more of it goes with more effective robustness.
# :::
#
# The paper says that outlier features pass, and that the number of concepts fails the third
# {cite:p}`crabbe2024`. ImageNet-Captions CLIP does the hardest work: if it has no outlier features, neither
# the contrastive loss nor language makes them, and the data must {cite:p}`fang2022`.
#
# ## One tower, three trainings
#
# Which networks are robust is known for many more than anyone has published features of. Accuracies are
# other people's; the effective robustness is ours ({doc}`01-effective-robustness`), here the mean over the
# four shifts that everybody measures.

# %%
towers = results.table(
    "05-published-towers",
    "published",
    controls.towers,
    source="published accuracies of chapter 1",
)
Markdown(results.caption(towers))

# %% mystnb={"figure": {"name": "fig-control-towers", "caption": "Mean effective robustness of published models by backbone: zero-shot CLIP on any data, CLIP finetuned on ImageNet, and supervised on ImageNet. No finetuned CLIP-ResNet is published."}, "image": {"alt": "One row per backbone. Zero-shot ViTs lie between 27 and 41 points, zero-shot ResNets at 22 to 27 with OpenAI's data and 8 to 16 with less; finetuned ViTs between 3 and 10; supervised models between minus 2 and 5."}}
BACKBONES = {
    "ViT-L-14": "ViT-L/14",
    "ViT-B-16": "ViT-B/16",
    "ViT-B-32": "ViT-B/32",
    "RN101": "ResNet-101",
    "RN50": "ResNet-50",
    "EfficientNet-Lite": "EfficientNet-Lite",
}
figures.towers(towers, BACKBONES)

# %% tags=["hide-input"]
published = {"scale": "published", "source": "05-published-towers"}
er_of = towers[towers["backbone"].isin(BACKBONES)].groupby("kind")["er"]
book.record(
    "lowest mean ER of a zero-shot encoder",
    er_of.min()["encoder"],
    at_least=8,
    text="Every zero-shot encoder is more robust than the baselines, by 8 points or more.",
    **published,
)
book.record(
    "highest mean ER of a finetuned encoder",
    er_of.max()["finetuned"],
    at_most=10.5,
    text="No finetuned encoder keeps more than 10.5 points.",
    **published,
)
book.record(
    "highest mean ER of a supervised network",
    er_of.max()["supervised"],
    at_most=4.6,
    text="No supervised network has more than 4.6 points.",
    **published,
)

# %% [markdown]
# The order is clear and the gap is wide: data of millions of captioned pictures, then the same with the
# labels of ImageNet on top, then labels alone. "Robust" and "not robust" are ends of a scale, though.
# Finetuned networks keep a part, and the CLIP networks of YFCC-15M are closer to them than to OpenAI's.
#
# ### Real features
#
# Of the encoders above, features of these are public, or can be computed from weights that come in a package.

# %%
real = results.table(
    "05-published-signatures",
    "published",
    controls.signatures,
    source="features and accuracies published by others (feature_models.csv)",
)
Markdown(results.caption(real))

# %%
shown = real.assign(features=real["described"] + ", " + real["side"]).set_index(
    ["label", "features"]
)
columns = {
    "er": "effective robustness",
    "kurtosis": "kurtosis",
    "outlier_share": "of one coordinate",
    "rotated": "kurtosis, rotated",
    "prunable": "prunable for 2 points",
}
shown[list(columns)].rename(columns=columns).astype(float).round(2).astype(
    object
).fillna("")

# %% mystnb={"figure": {"name": "fig-kurtosis-robustness", "caption": "Activation kurtosis of real features against the effective robustness of their encoders. Full marks are features of images, hollow ones of texts."}, "image": {"alt": "Scatter plot with a logarithmic kurtosis axis. OpenAI's CLIP features lie at 60 to 190 and 27 to 42 points. Text features of two EVA-CLIP encoders lie at 3, the Gaussian value, and 34 to 41 points. EfficientNets lie at 14 to 19 and near zero points."}}
figures.kurtosis_against_robustness(real)

# %% tags=["hide-input"]
by_model = real.groupby("label")[["er", "kurtosis", "outlier_share"]].mean()
rank = {
    name: stats.spearmanr(by_model["er"], by_model[name]).statistic
    for name in ("kurtosis", "outlier_share")
}
eva = real[real["family"] == "EVA-CLIP"]
efficient = real[real["family"] == "EfficientNet"]
openai = real[real["family"] == "CLIP"]
on_features = {"scale": "published", "source": "05-published-signatures"}
book.record(
    "lowest ER of an EVA-CLIP encoder",
    eva["er"].min(),
    at_least=34,
    text="Both EVA-CLIP encoders are as robust as OpenAI's of the same backbone.",
    **on_features,
)
book.record(
    "highest kurtosis of EVA-CLIP's text features",
    eva["kurtosis"].max(),
    at_most=3.3,
    text="EVA-CLIP's text features have the kurtosis of a Gaussian.",
    **on_features,
)
book.record(
    "lowest kurtosis of a supervised EfficientNet",
    efficient["kurtosis"].min(),
    at_least=14,
    text="Supervised EfficientNets have a kurtosis far above 3, and no robustness.",
    **on_features,
)
book.record(
    "highest share of one coordinate in an EfficientNet",
    efficient["outlier_share"].max(),
    at_most=0.03,
    text="But no coordinate of theirs has more than 3 % of it.",
    **on_features,
)
book.record(
    "lowest share of one coordinate in OpenAI's CLIP",
    openai["outlier_share"].min(),
    at_least=0.48,
    text="In OpenAI's CLIP one coordinate has about half of the kurtosis or more.",
    **on_features,
)
book.record(
    "rank correlation of kurtosis and ER over real encoders",
    rank["kurtosis"],
    at_least=-0.2,
    at_most=0.5,
    text="Over eight real encoders kurtosis and robustness do not clearly go together.",
    **on_features,
)
Markdown(
    f"Over these {len(by_model)} encoders the rank correlation of effective robustness with kurtosis is "
    f"{rank['kurtosis']:.2f}, with the share of one coordinate {rank['outlier_share']:.2f}. They are eight, of "
    "three families, on different texts and images: no number to build on."
)

# %% [markdown]
# :::{prf:observation} What is public is not enough, and contains a counter-example
# :label: obs-eva-counter-example
#
# OpenAI's CLIP encoders are robust and have outlier features. EVA-CLIP encoders are as robust, and their text
# features have none. EfficientNets are not robust and have a high kurtosis, without an outlier coordinate.
# :::
#
# EVA-CLIP does not refute the paper: its *image* features are not public, and the paper speaks of vision
# encoders. But it shows that robustness does not need outliers on both sides, and it is a hint: EVA-CLIP was
# trained with another optimizer, LAMB, and started from another initialisation {cite:p}`sun2023`.
#
# ### The paper's concepts, our robustness
#
# The third test can be made with the authors' own counts of concepts {cite:p}`crabbe2023`. The left columns
# are theirs; the last one is ours, and blank where no accuracies are published.

# %%
counted = results.table(
    "05-published-concepts",
    "published",
    controls.paper_counts,
    source="the paper's counts (venn_v1.csv) and published accuracies of chapter 1",
)
quoted = (
    results.bare(counted)
    .set_index(["backbone", "kind"])
    .astype(float)
    .round(1)
    .astype(object)
)
quoted.rename(
    columns={
        "concepts": "concepts (theirs)",
        "unique": "unique (theirs)",
        "er": "effective robustness (ours)",
    }
).fillna("")

# %% tags=["hide-input"]
vits = counted[counted["backbone"].str.startswith("ViT")].set_index(
    ["backbone", "kind"]
)
on_counts = {"scale": "published", "source": "05-published-concepts"}
for backbone in ("ViT-B-16", "ViT-B-32"):
    tuned = vits.loc[backbone, :].loc["finetuned"]
    labels = vits.loc[backbone, :].loc["supervised"]
    book.record(
        f"ER of finetuned minus supervised {backbone}",
        tuned["er"] - labels["er"],
        at_least=4,
        text=f"Finetuned {backbone} is more robust than supervised.",
        **on_counts,
    )
    book.record(
        f"concepts of finetuned minus supervised {backbone}",
        tuned["concepts"] - labels["concepts"],
        at_most=-1,
        text=f"By the authors' counts finetuned {backbone} encodes no more concepts than supervised.",
        **on_counts,
    )
both = counted.dropna()
concept_rank = stats.spearmanr(both["er"], both["concepts"]).statistic
book.record(
    "rank correlation of the paper's counts with ER",
    concept_rank,
    at_least=0,
    at_most=0.8,
    text="Over ten networks the authors' counts and our robustness go together loosely.",
    **on_counts,
)
Markdown(
    f"Over the {len(both)} networks with both numbers the rank correlation is {concept_rank:.2f}. Zero-shot "
    "networks are first in both. Below them the order breaks: in both ViTs the finetuned network is the more "
    "robust one, and encodes fewer concepts than the supervised one. And supervised ViTs encode more concepts "
    "than zero-shot ResNets, with none of their robustness."
)

# %% [markdown]
# ## The miniature: every signature in every regime
#
# The {term}`miniature` has what no public collection has: the same backbone in every {term}`regime`, with
# several seeds, and every signature of chapters 2 to 4 measured on each. `clip-captions` stands for CLIP on
# ImageNet-Captions, `supervised-web` for a control that reality lacks: the web data without its language.

# %%
signatures = results.table(
    "05-miniature-signatures",
    "miniature",
    small.signature_table,
    source="the miniature's tables of chapters 1 to 4",
)
Markdown(results.caption(signatures))

# %%
NAMES = {"er": "effective robustness", **small.SIGNATURES}
by_regime = results.bare(signatures)[signatures["backbone"] == "resnet"].groupby(
    "regime", sort=False
)[list(NAMES)]
low, mean, high = by_regime.min().T, by_regime.mean().T, by_regime.max().T
low, mean, high = (frame.map("{:.3g}".format) for frame in (low, mean, high))
summary = mean + " (" + low + " to " + high + ")"
summary.rename(index=NAMES).rename_axis("mean of three ResNets (range over seeds)")

# %% mystnb={"figure": {"name": "fig-all-signatures", "caption": "Effective robustness, mean over five shifts in points, and seven signatures of every trained network of the miniature. A signature of robustness would repeat the order of the first panel."}, "image": {"alt": "Eight panels, one row per regime. Effective robustness is 31 to 34 for clip-web and supervised-web, 11 to 16 for finetuned and near zero for clip-captions and supervised. No other panel repeats this order: kurtosis is between 2 and 3 everywhere; the share of the most important direction is high for both clip regimes only; the prunable share is highest for finetuned; concepts are between 15 and 20 everywhere."}}
PANELS = {
    "er": "effective robustness",
    "kurtosis": "kurtosis",
    "outlier_share": "coordinate's share",
    "importance": "first direction's share",
    "prunable": "prunable share",
    "encoded": "encoded concepts",
    "unique": "unique concepts",
    "polysemanticity": "concepts per direction",
}
figures.signatures(signatures, PANELS)

# %% [markdown]
# How much does each go along with robustness? The networks of one regime are repetitions, so the evidence is
# five regimes, and five things can be put in 120 orders. The p-value below counts them.

# %%
correlations = pd.DataFrame(
    {
        name: association.rank_correlation(
            signatures, column, "er", "regime", ["backbone", "seed"]
        )
        for column, name in small.SIGNATURES.items()
    }
).T
shown = correlations[["rho", "low", "high", "rho_groups", "p"]].round(2)
shown.columns = [
    "all networks",
    "lowest of a seed",
    "highest of a seed",
    "five regimes",
    "p, exact",
]
shown.rename_axis("rank correlation with effective robustness")

# %% tags=["hide-input"]
mini = {"scale": "miniature", "source": "05-miniature-signatures"}
groups = signatures.groupby("regime")
book.record(
    "smallest exact p of a signature's rank correlation",
    correlations["p"].min(),
    at_least=0.05,
    text="No signature's order of the five regimes is unlikely by chance.",
    **mini,
)
book.record(
    "highest kurtosis of clip-web where its head reads",
    groups["kurtosis"].max()["clip-web"],
    at_most=3,
    text="Test 1 fails: robust clip-web has no outlier features in the miniature.",
    **mini,
)
book.record(
    "lowest share of the first direction, clip-captions",
    groups["importance"].min()["clip-captions"],
    at_least=0.3,
    text="Test 2 fails for privileged directions: clip-captions has them and is not robust.",
    **mini,
)
book.record(
    "highest share of the first direction, supervised-web",
    groups["importance"].max()["supervised-web"],
    at_most=0.2,
    text="Test 1 fails for privileged directions: supervised-web is robust without.",
    **mini,
)
book.record(
    "rank correlation of encoded concepts with ER",
    correlations.loc["encoded concepts", "rho"],
    at_most=0,
    text="Test 3 fails for concepts, as in the paper: more concepts do not mean more robustness.",
    **mini,
)
book.record(
    "ER of clip-web minus ER of clip-captions",
    groups["er"].mean()["clip-web"] - groups["er"].mean()["clip-captions"],
    at_least=25,
    text="The same loss and language without the web data is not robust.",
    **mini,
)
of_regime, rho = groups.mean(numeric_only=True), correlations["rho"]
pd.DataFrame(
    {
        "outlier features": {
            "1. present": f"no: kurtosis of clip-web at most {groups['kurtosis'].max()['clip-web']:.1f}",
            "2. absent": "there are none",
            "3. in step": f"{rho['activation kurtosis']:.2f}",
        },
        "privileged directions": {
            "1. present": f"no: supervised-web has {of_regime.loc['supervised-web', 'importance']:.2f}",
            "2. absent": f"no: clip-captions has {of_regime.loc['clip-captions', 'importance']:.2f}",
            "3. in step": f"{rho['share of the most important direction']:.2f}",
        },
        "concepts": {
            "1. present": f"in all: clip-web has {of_regime.loc['clip-web', 'encoded']:.0f}",
            "2. absent": f"no: clip-captions has {of_regime.loc['clip-captions', 'encoded']:.0f}",
            "3. in step": f"{rho['encoded concepts']:.2f}",
        },
    }
)

# %% [markdown]
# :::{prf:observation} In the miniature no signature passes the three tests
# :label: obs-no-signature-passes
#
# Data make the miniature's networks robust. No signature follows: outlier features are in no network, the
# privileged direction is in both kinds of zero-shot head, and the number of concepts is about the same
# everywhere, if anything lower in robust networks.
# :::
#
# On concepts we agree with the paper's second version. On outlier features we do not contradict it, since a
# thing that is nowhere cannot be compared; but the miniature does show robustness without them. The question
# behind is why OpenAI's CLIP has them. The miniature differs from it in size, but also in how it is trained.
# That can be changed.

# %% [markdown]
# ## When do outlier features appear?
#
# OpenAI's CLIP was trained with Adam, ended at its largest {term}`logit scale`, 100 {cite:p}`radford2021`, and
# has outlier coordinates. EVA-CLIP was trained with LAMB {cite:p}`you2020`, which gives each layer's step a
# length in proportion to its weights, and has none, on the side we can see. Language models grow them with
# optimizers that scale each coordinate by itself, and with large steps {cite:p}`he2024`. So the ways to train
# deserve an experiment.
#
# ### A designed experiment
#
# Eight factors with two levels each make 256 settings. Sixteen of them, chosen so that no factor goes along
# with another or with a product of two others, are enough to tell the eight effects apart
# {cite:p}`box2005`. Each is run with two seeds.

# %%
FACTORS = {
    "logit_scale": ("100", "logit scale: learned, or fixed at 100"),
    "optimizer": ("lamb", "optimizer: AdamW, or LAMB"),
    "batch": (64, "batch: 256, or 64 (four times the steps)"),
    "images_seen": (180_000, "length: 60,000 images, or 180,000"),
    "data": ("web", "data: base, or the web mixture"),
    "backbone": ("vit", "tower: ResNet, or ViT"),
    "final_norm": (1, "last layer norm: without, or with"),
    "decay": (True, "weight decay: none, or 0.001 a step"),
}
swept = results.table(
    "05-miniature-sweep",
    "miniature",
    sweep.results,
    source="training runs of the sweep (sweep.csv)",
)
ends = results.bare(swept).sort_values("step").groupby("name", sort=False).tail(1)
screen = ends[ends["part"] == "screen"].assign(decay=lambda t: t["weight_decay"] > 0)
settings = [
    "backbone",
    "data",
    "optimizer",
    "batch",
    "logit_scale",
    "final_norm",
    "images_seen",
    "decay",
]
screen.sort_values("name").set_index("name")[settings].iloc[::8].T

# %% [markdown]
# The responses are the kurtosis of image features in the joint space, the *lead* of the furthest coordinate
# (its distance from the mean, in distances of the median coordinate) and the {term}`modality gap`, all as
# ratios: an effect of 2 doubles them.

# %% mystnb={"figure": {"name": "fig-sweep-effects", "caption": "Main effects of eight factors of training on three responses, from 16 settings with two seeds each: how many times as large the response is at the second level. Lines are 95 % intervals."}, "image": {"alt": "Three panels of eight rows. A logit scale of 100 multiplies the lead of one coordinate by about two and the gap by about three, and raises kurtosis a little; small batches raise kurtosis; the web mixture raises lead and gap. LAMB, length, tower, layer norm and weight decay have effects on kurtosis and lead whose intervals include one."}}
responses = {
    "kurtosis of images": "kurtosis_joint",
    "lead of one coordinate": "lead_joint",
    "modality gap": "gap",
}
high = {name: level for name, (level, _) in FACTORS.items()}
found = {
    title: effects.main_effects(screen.assign(y=np.log2(screen[column])), high, "y")
    for title, column in responses.items()
}
sweep_figures.effects(found, {name: text for name, (_, text) in FACTORS.items()})

# %% tags=["hide-input"]
from_sweep = {"scale": "miniature", "source": "05-miniature-sweep"}
effect = {title: table.set_index("factor") for title, table in found.items()}
sketch = effects.main_effects(screen, high, "accuracy_sketch").set_index("factor")
means = screen.groupby(["optimizer", "logit_scale"])["kurtosis_joint"].mean()
book.record(
    "times the lead at a logit scale of 100",
    2 ** effect["lead of one coordinate"].loc["logit_scale", "effect"],
    at_least=1.6,
    text="A fixed logit scale of 100 makes the furthest coordinate lead by much more.",
    **from_sweep,
)
book.record(
    "the same, lower end of the interval",
    2 ** effect["lead of one coordinate"].loc["logit_scale", "low"],
    at_least=1.2,
    text="The interval leaves out 1 clearly.",
    **from_sweep,
)
book.record(
    "times the gap at a logit scale of 100",
    2 ** effect["modality gap"].loc["logit_scale", "effect"],
    at_least=2.5,
    text="And it keeps the modality gap open.",
    **from_sweep,
)
book.record(
    "mean kurtosis with AdamW at a logit scale of 100, minus the highest of the other three",
    means["adamw", "100"] - means.drop(("adamw", "100")).max(),
    at_least=0.3,
    text="Kurtosis rises where AdamW and the fixed scale come together.",
    **from_sweep,
)
book.record(
    "change of accuracy on sketches by the web mixture",
    sketch.loc["data", "effect"],
    at_least=0.4,
    text="Data decide accuracy on sketches.",
    **from_sweep,
)
book.record(
    "change of accuracy on sketches by the logit scale",
    sketch.loc["logit_scale", "effect"],
    at_least=-0.08,
    at_most=0.08,
    text="The logit scale, which decides outliers, does not.",
    **from_sweep,
)
Markdown(
    "A fixed logit scale of 100 makes the lead "
    f"{2 ** effect['lead of one coordinate'].loc['logit_scale', 'effect']:.1f} times and the gap "
    f"{2 ** effect['modality gap'].loc['logit_scale', 'effect']:.1f} times as large. On accuracy on sketches it "
    f"has an effect of {100 * sketch.loc['logit_scale', 'effect']:+.0f} points, the web mixture one of "
    f"{100 * sketch.loc['data', 'effect']:+.0f}."
)

# %% [markdown]
# The largest effects are those of the logit scale: it keeps the modality gap open and makes a coordinate lead.
# Web data, more varied, have an effect on both as well. What decides outliers is not what decides robustness:
# on sketches, only the data and the length of training count much, and which tower.
#
# What two factors do together is seen in the means themselves.

# %%
screen.pivot_table(
    ["kurtosis_joint", "kurtosis_text"], "optimizer", "logit_scale"
).round(2)

# %% [markdown]
# AdamW with a fixed scale of 100 stands out; with either of them alone the mean kurtosis stays near 3.
#
# ### One thing at a time
#
# From the settings that the screen points to we change one thing at a time: a ResNet with a last layer norm,
# AdamW at a learning rate of 0.004, batches of 32, 2,500 steps on web captions, a logit scale of 100. The
# grey stripe is the range of three seeds.

# %% mystnb={"figure": {"name": "fig-sweep-one", "caption": "The end of training when one setting is changed. The stripe is the range over three seeds of the unchanged setting."}, "image": {"alt": "Four panels of dots beside grey stripes. Kurtosis of images is near 3 or below with a learned logit scale or one of 10 or 30, with LAMB, with SGD, at a quarter or half of the learning rate, with larger batches and on base images; it is between 4 and 6 with weight decay, without the layer norm and with more or fewer images, and highest at twice the learning rate. Kurtosis of captions is lowest on base images and with SGD. The gap is as wide as at the centre with SGD and LAMB, and narrow with a low logit scale and on base images."}}
CHANGES = {
    "one-scale-learned-s0": "logit scale learned",
    "one-scale-10-s0": "logit scale 10",
    "one-scale-30-s0": "logit scale 30",
    "one-lamb-s0": "LAMB",
    "one-sgd-s0": "SGD with momentum",
    "one-lr-0.001-s0": "learning rate / 4",
    "one-lr-0.002-s0": "learning rate / 2",
    "one-lr-0.008-s0": "learning rate × 2",
    "one-decay-s0": "weight decay",
    "one-norm-none-s0": "no last layer norm",
    "one-batch-256-s0": "batch 256, same images",
    "one-images-20k-s0": "a quarter of the images",
    "one-images-320k-s0": "four times the images",
    "one-data-base-train-s0": "base images only",
}
one = ends[ends["part"] == "one"]
one_panels = {
    "kurtosis_joint": "kurtosis, images",
    "kurtosis_text": "kurtosis, captions",
    "gap": "modality gap",
    "accuracy_base-val": "accuracy on base",
}
sweep_figures.one_at_a_time(one, one_panels, CHANGES)

# %% tags=["hide-input"]
end_of = one.set_index("name")
centre = end_of.filter(like="one-centre", axis=0)
images, captions = end_of["kurtosis_joint"], end_of["kurtosis_text"]
rates = [images[f"one-lr-{rate}-s0"] for rate in ("0.001", "0.002")]
rates += [centre["kurtosis_joint"].mean(), images["one-lr-0.008-s0"]]
statements = [
    (
        "lowest kurtosis of images at the centre, of three seeds",
        centre["kurtosis_joint"].min(),
        {"at_least": 5},
    ),
    (
        "highest kurtosis of images with a learned logit scale, or one of 10 or 30",
        images[[f"one-scale-{scale}-s0" for scale in ("learned", "10", "30")]].max(),
        {"at_most": 3.1},
    ),
    ("kurtosis of images with SGD", images["one-sgd-s0"], {"at_most": 3}),
    ("kurtosis of captions with SGD", captions["one-sgd-s0"], {"at_most": 3.5}),
    ("kurtosis of images with LAMB", images["one-lamb-s0"], {"at_most": 3}),
    ("kurtosis of captions with LAMB", captions["one-lamb-s0"], {"at_least": 5}),
    (
        "smallest rise of kurtosis as the learning rate doubles",
        np.diff(rates).min(),
        {"at_least": 0.2},
    ),
    (
        "gap with SGD minus the mean gap at the centre",
        end_of.loc["one-sgd-s0", "gap"] - centre["gap"].mean(),
        {"at_least": -0.05, "at_most": 0.05},
    ),
    (
        "accuracy on base at twice the learning rate",
        end_of.loc["one-lr-0.008-s0", "accuracy_base-val"],
        {"at_most": 0.3},
    ),
]
for name, value, bounds in statements:
    book.record(
        name,
        value,
        text="The sweep around the setting that grows outliers.",
        **bounds,
        **from_sweep,
    )
Markdown(
    f"At the centre the kurtosis of images is {centre['kurtosis_joint'].min():.1f} to "
    f"{centre['kurtosis_joint'].max():.1f}. With a learned logit scale it is "
    f"{images['one-scale-learned-s0']:.1f}, with SGD {images['one-sgd-s0']:.1f}, with LAMB "
    f"{images['one-lamb-s0']:.1f}. As the learning rate doubles from 0.001 to 0.008 it goes "
    + ", ".join(f"{rate:.1f}" for rate in rates)
    + "."
)

# %% [markdown]
# Around this centre, four things are needed together.
#
# - **A high logit scale from the start.** At 30 images have no outliers, at 100 they have. CLIP *learns* its
#   scale and arrives at 100; in runs as short as ours a learned scale ends between 12 and 21.
# - **An optimizer that scales each coordinate by itself.** SGD keeps as wide a gap and grows nothing, on
#   either side. LAMB, which is Adam with steps of another length, grows nothing in images and as much as
#   AdamW in captions; so LAMB alone does not explain EVA-CLIP's texts.
# - **Large steps.** Kurtosis rises with the learning rate, as {cite:t}`he2024` report for language models.
#   Accuracy falls with it: these are rough trainings, and long ones mend the accuracy and keep the captions'
#   outlier.
# - **Varied data.** On base images and captions, the diet of the fragile `clip-captions`, the gap closes and
#   no outlier grows, under the very same training.
#
# The last is the paper's own finding about ImageNet-Captions, and the miniature has it too, once its training
# is one that can grow outliers. So we make it a pair: the training of `clip-outliers-resnet-s0`, on web and on
# base captions, with two seeds.

# %%
PAIRS = {
    "screen-03-s0": "web",
    "screen-03-s1": "web",
    "pair-base-s0": "base",
    "pair-base-s1": "base",
}
paired = ends.set_index("name").loc[list(PAIRS)]
MEASURED = {
    "kurtosis_joint": "kurtosis, images",
    "kurtosis_text": "captions",
    "lead_joint": "lead, images",
    "gap": "gap",
    "gap_top_share": "of one coordinate",
    "accuracy_base-val": "base",
    "accuracy_sketch": "sketches",
}
pairs = paired.assign(captions=list(PAIRS.values())).set_index(["captions", "seed"])
pairs[list(MEASURED)].rename(columns=MEASURED).round(2)

# %% tags=["hide-input"]
on_web, on_base = paired.iloc[:2], paired.iloc[2:]
bases = end_of.filter(like="one-data-base", axis=0)
for name, value, bounds in (
    (
        "lowest kurtosis of images of the pair on web",
        on_web["kurtosis_joint"].min(),
        {"at_least": 4.5},
    ),
    (
        "highest kurtosis of images of the pair on base",
        on_base["kurtosis_joint"].max(),
        {"at_most": 4},
    ),
    (
        "highest kurtosis of images at the centre on base, of three seeds",
        bases["kurtosis_joint"].max(),
        {"at_most": 4},
    ),
    (
        "highest gap at the centre on base, of three seeds",
        bases["gap"].max(),
        {"at_most": 0.6},
    ),
):
    book.record(
        name,
        value,
        text="The same training on base captions grows no outliers.",
        **bounds,
        **from_sweep,
    )
high_kurtosis = ends[ends["kurtosis_joint"] > 4]
exceptions = high_kurtosis[high_kurtosis["data"] != "web"]
book.record(
    "networks with a kurtosis of images above 4 that saw base images only",
    len(exceptions),
    equals=1,
    text="Of the sweep's networks with a kurtosis above 4, all but one had seen the web mixture.",
    **from_sweep,
)
book.record(
    "networks with a kurtosis of images above 4",
    len(high_kurtosis),
    equals=11,
    text="Eleven of the sweep's networks have a kurtosis of images above 4.",
    **from_sweep,
)
book.record(
    "highest kurtosis of images of a network that saw base images only",
    ends.loc[ends["data"] != "web", "kurtosis_joint"].max(),
    at_most=4.5,
    text="The exception is a weak one.",
    **from_sweep,
)
Markdown(
    f"Of {len(ends)} networks in the sweep {len(high_kurtosis)} have a kurtosis of images above 4. All but "
    f"{len(exceptions)} of them saw the web mixture; the exception, `{exceptions['name'].item()}`, is a ViT with "
    f"{exceptions['kurtosis_joint'].item():.1f}. {(ends['data'] == 'web').sum() - len(high_kurtosis) + len(exceptions)} "
    "networks saw the web mixture and stay below 4."
)

# %% [markdown]
# What is left of the gap on base lies along few coordinates too, in one seed three quarters of it along one. But
# so little is left that nothing stands out.

# %% [markdown]
# :::{prf:observation} A sign in one direction, with an exception
# :label: obs-one-direction
#
# In the sweep a high kurtosis nearly always means that a network was trained on varied data, and that is what
# makes for robustness. A low one means nothing: it may be the data, the logit scale, the optimizer or the
# learning rate.
# :::
#
# ### Through training, and the gap
#
# In an untrained CLIP images and texts already lie apart, in a direction that means nothing in particular
# {cite:p}`liang2022`. What becomes of that gap?

# %% mystnb={"figure": {"name": "fig-sweep-training", "caption": "Kurtosis of captions, the modality gap, and the largest share that one coordinate has of the gap's squared length, through training of five runs that differ in one thing."}, "image": {"alt": "Three panels along training. The kurtosis of captions rises to 7 with AdamW at a logit scale of 100, to nearly 9 in the longer run, to 6 with LAMB, to 4 with a learned scale, and stays at 3 with SGD. The gap falls from above 1 to 0.9, or 0.8 in the long run, at a scale of 100 under every optimizer, and to 0.6 with a learned scale. The share of one coordinate in it grows to 0.27, in the long run to 0.53, with AdamW at 100; with SGD and with a learned scale it stays near 0.1."}}
RUNS = {
    "one-centre-s0": "AdamW, scale 100",
    "one-images-320k-s0": "the same, four times the images",
    "one-scale-learned-s0": "AdamW, learned scale",
    "one-lamb-s0": "LAMB, scale 100",
    "one-sgd-s0": "SGD, scale 100",
}
gap_panels = {
    "kurtosis_text": "kurtosis, captions",
    "gap": "modality gap",
    "gap_top_share": "of which along one coordinate",
}
sweep_figures.trajectories(results.bare(swept), RUNS, gap_panels)

# %% tags=["hide-input"]
shares = {name: end_of.loc[name, "gap_top_share"] for name in RUNS}
book.record(
    "share of one coordinate in the gap after a long training with AdamW at a logit scale of 100",
    shares["one-images-320k-s0"],
    at_least=0.45,
    text="Half of the gap comes to lie along one coordinate.",
    **from_sweep,
)
book.record(
    "the same with SGD",
    shares["one-sgd-s0"],
    at_most=0.15,
    text="With SGD it stays spread.",
    **from_sweep,
)

# %% [markdown]
# At a logit scale of 100 the gap closes a little and then stays, under every optimizer: at such a scale small
# differences of cosines decide, and nothing pushes the two clouds together. Under AdamW it turns. A growing
# part of it comes to lie along one coordinate, in the long run half of its squared length. Under SGD, with a gap of the
# same length, it does not turn.
#
# Is it so in a real network? OpenAI's ViT-B/16 on 500 COCO images and their captions, trained and untrained:

# %%
coordinates = results.table(
    "05-published-gap",
    "published",
    gap.published,
    source="COCO features of CLIP ViT-B/16 published by Liang et al.",
)
largest = results.bare(coordinates)[coordinates["rank"] <= 4]
largest.set_index(["weights", "rank"]).round(3)

# %% tags=["hide-input"]
trained = coordinates[coordinates["weights"] == "trained"].set_index("rank")
untrained = coordinates[coordinates["weights"] == "untrained"].set_index("rank")
on_gap = {"scale": "published", "source": "05-published-gap"}
book.record(
    "share of CLIP's modality gap along its two largest coordinates",
    trained.loc[[1, 2], "share"].sum(),
    equals=0.686,
    tol=0.002,
    text="Two coordinates hold 69 % of the squared length of the gap of OpenAI's CLIP ViT-B/16.",
    **on_gap,
)
book.record(
    "outlier coordinates among the two largest of the gap",
    (trained.loc[[1, 2], "outlier_of"] != "none").sum(),
    equals=2,
    text="They are the outlier coordinate of the images and that of the captions.",
    **on_gap,
)
book.record(
    "largest share of one coordinate in an untrained CLIP's gap",
    untrained["share"].max(),
    at_most=0.02,
    text="Untrained, the gap is spread over many coordinates.",
    **on_gap,
)
book.record(
    "length of the gap, trained minus untrained",
    trained["gap"].max() - untrained["gap"].max(),
    at_most=-0.2,
    text="Training makes the gap shorter; what it adds is its concentration.",
    **on_gap,
)
Markdown(
    f"Trained, the gap has a length of {trained['gap'].max():.2f}, and "
    f"{100 * trained.loc[[1, 2], 'share'].sum():.0f} % of its square lie along two of 512 coordinates: "
    f"{trained.loc[1, 'coordinate']}, the outlier of the images, and {trained.loc[2, 'coordinate']}, the outlier "
    f"of the captions. Untrained, the gap is longer, {untrained['gap'].max():.2f}, and no coordinate has more "
    f"than {100 * untrained['share'].max():.0f} % of it."
)

# %% [markdown]
# :::{prf:observation} Outlier coordinates are the modality gap
# :label: obs-outliers-are-the-gap
#
# In OpenAI's CLIP ViT-B/16 the two outlier coordinates hold two thirds of the modality gap. The gap is there
# before training, along no coordinate in particular. What training adds is not the gap but its *axis*.
# :::
#
# {doc}`02-outlier-features` takes the two coordinates out and follows what retrieval loses: a part that depends
# on the caption alone. That is what a gap can do. It moves all images to one side and all captions to the
# other, and can tell no image from another.
#
# ### Do they bring robustness?
#
# The runs of the sweep differ in kurtosis, and half of them saw the web mixture. If outlier features carried
# robustness, it would grow with kurtosis among networks that saw the same images.

# %%
judged = ends[ends["accuracy_base-val"].between(0.5, 1)]
line = small_heads.baseline_fits()["sketch"]
pairs = zip(judged["accuracy_base-val"], judged["accuracy_sketch"], strict=True)
judged = judged.assign(
    er=[robustness.effective_robustness(*pair, line) for pair in pairs]
)
by_data = pd.DataFrame(
    {
        data: {
            "networks": len(rows),
            "mean ER on sketches": rows["er"].mean(),
            "highest kurtosis": rows["kurtosis_joint"].max(),
            "rank correlation of ER and kurtosis": stats.spearmanr(
                rows["er"], rows["kurtosis_joint"]
            ).statistic,
        }
        for data, rows in judged.groupby("data")
    }
).T
by_data.round(2)

# %% tags=["hide-input"]
from_data = by_data["mean ER on sketches"]
book.record(
    "ER on sketches of the sweep's networks on web data minus those on base",
    from_data["web"] - from_data["base-train"],
    at_least=40,
    text="In the sweep, too, robustness comes from the data.",
    **from_sweep,
)
book.record(
    "rank correlation of kurtosis and ER among the sweep's networks on web data",
    by_data.loc["web", "rank correlation of ER and kurtosis"],
    at_most=0.4,
    text="Among networks on the same data, more kurtosis does not mean more robustness.",
    **from_sweep,
)
Markdown(
    f"On the web mixture networks have {from_data['web']:.0f} points of effective robustness on sketches, on base "
    f"{from_data['base-train']:.1f}. Within either, kurtosis and robustness have a rank correlation of "
    f"{by_data.loc['web', 'rank correlation of ER and kurtosis']:.2f} and "
    f"{by_data.loc['base-train', 'rank correlation of ER and kurtosis']:.2f}."
)

# %% [markdown]
# :::{prf:observation} Outliers follow data and training, robustness follows the data
# :label: obs-outliers-follow-training
#
# In the miniature's ResNets outlier features need varied data *and* a training of a certain kind: an optimizer
# by coordinates, a high logit scale, large steps. Robustness needs the data alone. Outliers are the modality
# gap, turned onto an axis; among networks that saw the same data they go along with no more robustness.
# :::
#
# This would explain what the paper sees and what it does not look at. Its robust encoders saw varied data and
# were trained in one way, so outliers and robustness come together; ImageNet-Captions CLIP lacks the data.
# EVA-CLIP was trained in another way, and has robustness without outliers on the side that can be seen. It is
# no proof: the miniature has 64 joint coordinates and 12 classes, and its runs are thousands of steps, not
# hundreds of thousands.

# %% [markdown]
# ## From zero-shot to finetuned, step by step
#
# Between a zero-shot network and the one finetuned from it lies a line of networks: mix their weights,
# $\theta_\alpha = (1 - \alpha)\, \theta_{\text{zero-shot}} + \alpha\, \theta_{\text{finetuned}}$
# {cite:p}`wortsman2022`. Finetuned accuracy and zero-shot robustness can be had together on it. Do the
# signatures follow accuracy, or robustness?

# %%
path = results.table(
    "05-miniature-path",
    "miniature",
    wiseft.path_table,
    source="networks between clip-web and finetuned in weight space",
)
Markdown(results.caption(path))

# %% mystnb={"figure": {"name": "fig-wiseft-path", "caption": "From clip-web (0) to finetuned (1) in weight space: accuracy on base, effective robustness on sketches, kurtosis in the joint space, share of the most important direction. ResNets: mean and range of three seeds."}, "image": {"alt": "Four panels along alpha. Accuracy on base rises and is highest between one half and one; effective robustness on sketches stays near 70 points up to about a quarter and then falls to 26 for ResNets and 12 for the ViT; kurtosis stays between 2.5 and 3; the share of the most important direction falls steadily from 0.54 to between 0.2 and 0.3."}}
PATH = {
    "accuracy_base-val": "accuracy on base",
    "er_sketch": "ER on sketches (points)",
    "kurtosis_joint": "kurtosis",
    "importance": "first direction's share",
}
figures.path(path, PATH)

# %% tags=["hide-input"]
resnets = path[path["backbone"] == "resnet"].groupby("alpha")[list(PATH)].mean()
on_path = {"scale": "miniature", "source": "05-miniature-path"}
book.record(
    "accuracy on base half-way, minus zero-shot",
    resnets.loc[0.5, "accuracy_base-val"] - resnets.loc[0.0, "accuracy_base-val"],
    at_least=0.01,
    text="Half-way between them a network is more accurate on base than the zero-shot one (ResNets).",
    **on_path,
)
book.record(
    "share of the ER on sketches that is left half-way",
    resnets.loc[0.5, "er_sketch"] / resnets.loc[0.0, "er_sketch"],
    at_least=0.7,
    text="Half-way most of the robustness is still there (ResNets).",
    **on_path,
)
book.record(
    "share of the ER on sketches that is left at the end",
    resnets.loc[1.0, "er_sketch"] / resnets.loc[0.0, "er_sketch"],
    at_most=0.5,
    text="At the end more than half of it is gone (ResNets).",
    **on_path,
)
book.record(
    "range of the mean kurtosis along the path",
    np.ptp(resnets["kurtosis_joint"]),
    at_most=0.3,
    text="Kurtosis in the joint space does not move along the path (ResNets).",
    **on_path,
)
book.record(
    "share of the first direction half-way, over its way from start to end",
    (resnets.loc[0.0, "importance"] - resnets.loc[0.5, "importance"])
    / (resnets.loc[0.0, "importance"] - resnets.loc[1.0, "importance"]),
    equals=0.5,
    tol=0.15,
    text="The share of the first direction is half-way down when the weights are half-way (ResNets).",
    **on_path,
)
Markdown(
    f"Half-way the ResNets have {100 * resnets.loc[0.5, 'accuracy_base-val']:.1f} % on base "
    f"(zero-shot {100 * resnets.loc[0.0, 'accuracy_base-val']:.1f}, finetuned "
    f"{100 * resnets.loc[1.0, 'accuracy_base-val']:.1f}) and {resnets.loc[0.5, 'er_sketch']:.0f} of "
    f"{resnets.loc[0.0, 'er_sketch']:.0f} points of effective robustness on sketches."
)

# %% [markdown]
# The compromise that {cite:t}`wortsman2022` found is there. Accuracy comes early on the path and robustness
# goes late. The share of the first direction does neither: it falls in proportion to $\alpha$, from the first
# step on, while nearly all robustness is still there. A number that moves when robustness does not is no sign of it.
#
# ## The real controls
#
# Three controls of the paper have no published weights: CLIP trained on ImageNet-Captions, CLIP-ResNets
# finetuned on ImageNet, and CLIP's own towers trained on labels. The library has the recipes. They need GPUs
# and ImageNet, and were not run at full size.
#
# ```
# featurelens recipe list
# featurelens recipe run imagenet-captions-rn50 --imagenet train --captions imagenet_captions.json --out runs/ic
# featurelens recipe run finetuned-rn50 --imagenet train --val val --out runs/ft
# featurelens recipe interpolate runs/ft/start.safetensors runs/ft/model.safetensors --alpha 0.5 --out runs/half
# ```
#
# Each run continues where it was stopped, bit for bit on a processor, and writes kurtosis on the validation
# images beside its accuracy. Whether a ResNet-50 on ImageNet-Captions grows outliers will be seen in that
# column.

# %% [markdown]
# ## At the paper's scale
#
# The comparison that the paper makes is this table: every encoder, its mean effective robustness in points, and
# the signatures of chapters 2 to 4 measured on the same images. `shifts` says how many of the five shifts have a
# robustness; a control of which no weights exist is one that a recipe of this page trains, and its file
# can be named like any other model.

# %%
from featurelens.paper import shown

columns = [
    "model",
    "regime",
    "er",
    "shifts",
    "kurtosis",
    "outlier_share",
    "importance",
    "prunable",
]
shown.show("05-paper-signatures", shown.ALL, columns, sort="er")

# %% [markdown]
# ## What would falsify this
#
# - **Outliers are not needed for robustness**: a robust miniature network whose robustness goes with its outlier
#   coordinate when that is removed. In `clip-outliers-resnet-s0` it does not ({doc}`02-outlier-features`).
# - **Outliers are the gap**: an encoder with outlier coordinates of images and captions that hold no more of
#   the modality gap than others do. Features of image and text towers of more CLIPs would decide it.
# - **Data alone do not make outliers**: a robust CLIP, trained with SGD or at a low logit scale, with outlier
#   coordinates.
# - **Without varied data there are none**: CLIP on ImageNet-Captions, trained with Adam at a logit scale of 100,
#   *with* outlier features. The paper reports none {cite:p}`crabbe2024`; the recipe above would tell.
#
# ## What holds, and what we could not check
#
# - **Holds**: zero-shot encoders are robust and their controls are not, in every published family; the number
#   of concepts is no sign of robustness, by the paper's own counts and by ours.
# - **Holds in one direction**: outlier features as a sign of robustness. In the sweep they occur on
#   varied data, with one weak exception; their absence says nothing, since it can be the way of training.
# - **Beyond the paper**: in OpenAI's ViT-B/16 the outlier coordinates are where the modality gap lies.
# - **Could not be checked here**: the three controls without weights; image features of EVA-CLIP and of
#   finetuned CLIP; anything at the `paper` scale.
#
# ## Exercises
#
# ```{exercise-start} Is four out of five enough?
# :label: ex-five-regimes
# ```
# Five regimes are ranked by robustness. A signature puts them in the same order, except that two neighbours
# are exchanged. What are its rank correlation and the exact two-sided p-value over all 120 orders?
# ```{exercise-end}
# ```

# %% [markdown]
# ```{solution-start} ex-five-regimes
# :class: dropdown
# ```
# The correlation is 0.9, and ten of the 120 orders are at least as strong: the four exchanges of neighbours,
# the identity, and their five mirror images. So $p = 10 / 120 = 0.083$. With five regimes only a perfect order
# gets below 0.05, at $2 / 120$.

# %% tags=["solution"]
ranks = pd.DataFrame(
    {"regime": list("abcde"), "seed": 0, "er": [1, 2, 3, 4, 5], "sign": [2, 1, 3, 4, 5]}
)
association.rank_correlation(ranks, "sign", "er", "regime", ["seed"])

# %% [markdown]
# ```{solution-end}
# ```
#
# ```{exercise-start} Read a screen
# :label: ex-screen
# ```
# The text above gives effects on accuracy on sketches. Take as response what is lost on the way there, the accuracy
# on base minus that on sketches, without a logarithm. Which factor changes it most, and by how much? The logit scale
# and the length of training had an effect on sketches: what is left of it?
# ```{exercise-end}
# ```

# %% [markdown]
# ```{solution-start} ex-screen
# :class: dropdown
# ```
# The data, by far: with the web mixture 64 points less are lost. Nothing is left of the logit scale and of the length
# of training. The first costs as much on base as on sketches, the second brings as much: both change how good the
# networks are, and not how robust.

# %% tags=["solution"]
lost = screen.assign(lost=screen["accuracy_base-val"] - screen["accuracy_sketch"])
effects.main_effects(lost, high, "lost").set_index("factor").round(3)

# %% [markdown]
# ```{solution-end}
# ```
#
# ```{exercise-start} Beyond the end
# :label: ex-beyond
# ```
# Weight-space interpolation may leave the segment. Compute accuracy on base and on sketches at
# $\alpha = 1.25$ for `finetuned-resnet-s0`. What would you expect, and what do you find?
# ```{exercise-end}
# ```

# %% [markdown]
# ```{solution-start} ex-beyond
# :class: dropdown
# ```
# More of the same direction: robustness falls further, and accuracy on base no longer rises, since nothing
# trained the network to be good there.

# %% tags=["solution"]
beyond = wiseft.between("finetuned-resnet-s0", 1.25)
{
    name: heads.accuracy(
        evaluate.encode(beyond, data)["joint"], beyond.classifier.weight, data.y_N
    )
    for name, data in (
        (name, sets.load(name, limit=1000)) for name in ("base-val", "sketch")
    )
}

# %% [markdown]
# ```{solution-end}
# ```
#
# ## Further reading
#
# - {cite:t}`fang2022` trained the control that matters most, CLIP on ImageNet-Captions.
# - {cite:t}`he2024` vary architecture and optimizer of language models and watch their outlier features: the nearest
#   relative of this page's sweep.
# - {cite:t}`liang2022` discovered the modality gap; {cite:t}`schrodi2025` find that few coordinates carry it, and trace it to
#   what captions leave out.
# - {cite:t}`wortsman2022` proposed the path between zero-shot and finetuned weights.
#
# ## What comes next
#
# Everything here that needs real weights waits for the `paper` scale: the sixteen encoders, their controls, and
# the recipes of this page on ImageNet.

# %%
book.write()
