"""The paper's regressions (§5.2, App. D). The only room that touches R; its models are in the .R files.

r_calls.py       R in this process, or in a separate Rscript
glmm.R           the beta mixed model (§5.2, App. E.3)
residuals.R      residual tests from simulations
regression.py    one data set's regression: design, fit, tests
leave_one_out.R  the mixed model without each benchmark in turn
runs.py          complete runs as arrays: aggregates, parabolas
checks.py        permutations and leaving out benchmarks; all checks together
seeds.py         PLW against PLW × seed: whole curves as replicates
item_model.R     successes and failures as a smooth curve in w_p (ours)
item_model.py    its data: what a score weighs
resampling.py    bootstrap over benchmark items
gam.R            additive models over PLW and R_g (App. D); runs' curve at one ratio
gam.py           their data, optima and surfaces
weight_curve.py  the curve of a study's runs over PLW at one ratio, for `plw recommend` (ours)
json.R           JSON out of R without a package
run_glmm.R       the regression without Python
"""
