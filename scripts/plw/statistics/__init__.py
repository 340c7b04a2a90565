"""The paper's regressions (§5.2, App. D). The only room that touches R; its models are in the .R files.

r_calls.py       R in this process, or in a separate Rscript
glmm.R           the beta mixed model (§5.2, App. E.3)
residuals.R      residual tests from simulations
regression.py    one data set's regression: design, fit, tests
leave_one_out.R  the mixed model without each benchmark in turn
checks.py        permutations, leaving out, bootstrap over items
gam.R            additive models over PLW and R_g (App. D)
gam.py           their data, optima and surfaces
json.R           JSON out of R without a package
run_glmm.R       the regression without Python
"""
