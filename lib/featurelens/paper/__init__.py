"""The paper's scale: encoders of the zoo over ImageNet, its shifts and Broden, to one table a finding.

:mod:`~featurelens.paper.run` extracts what is missing, encoder by encoder; :mod:`~featurelens.paper.measure`
makes the tables of one encoder, :mod:`~featurelens.paper.tables` puts them side by side and stores them;
:mod:`~featurelens.paper.costs` says beforehand what that takes; pages show the result through
:mod:`~featurelens.paper.shown`.
"""
