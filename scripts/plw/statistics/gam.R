# Generalised additive models of relative scores on the prompt loss weight and the completion-prompt ratio (App. D).
#
# data columns: score (numeric, 0..1), w (numeric: w_p or the weight itself), r (numeric: R_g of the data set),
# benchmark, seed (text).
#
# Paper: score ~ te(w, r, k = 3) + factor(b), mgcv 1.9-1. Family and method are not stated: mgcv's defaults, gaussian
# and GCV.Cp. Needs capturing() of glmm.R.

# The paper's formula; a factor with a single level is left out, and several seeds enter as a random effect.
gam_formula <- function(data, k) {
  parts <- sprintf("te(w, r, k = %d)", as.integer(k))
  if (nlevels(data$benchmark) > 1) parts <- c(parts, "benchmark")
  if (nlevels(data$seed) > 1) parts <- c(parts, 's(seed, bs = "re")')
  stats::as.formula(paste("score ~", paste(parts, collapse = " + ")))
}

# The smooth alone, as predict(type = "terms") gives it: its basis at all weights of w_grid for each ratio, one matrix
# (weights x coefficients) per ratio.
smooth_bases <- function(model, data, w_grid, ratios) {
  points <- data.frame(w = rep(w_grid, length(ratios)), r = rep(ratios, each = length(w_grid)),
                       benchmark = data$benchmark[1], seed = data$seed[1])
  smooth <- model$smooth[[1]]
  basis <- stats::predict(model, points, type = "lpmatrix")[, smooth$first.para:smooth$last.para, drop = FALSE]
  lapply(seq_along(ratios), function(i) basis[seq_along(w_grid) + (i - 1) * length(w_grid), , drop = FALSE])
}

# Where the predicted smooth is largest over the weights, at one ratio. `best`, `low` and `high` are places in w_grid
# (from 1); low and high bound the middle 1 - alpha of the best places over draws from the coefficients' posterior.
# `range` is largest minus smallest prediction.
optimum_at <- function(basis, r, coefficients, draws = NULL, alpha = NULL) {
  predicted <- drop(basis %*% coefficients)
  found <- list(r_g = r, best = unname(which.max(predicted)), range = max(predicted) - min(predicted),
                value = max(predicted))
  if (is.null(draws)) return(found)
  places <- max.col(draws %*% t(basis), ties.method = "first")
  bounds <- stats::quantile(places, c(alpha / 2, 1 - alpha / 2), type = 1, names = FALSE) # stays on the grid
  c(found, list(low = bounds[1], high = bounds[2]))
}

# w_grid      values of w that are searched, in order
# ratios      R_g at which the optimum is wanted; r_grid: R_g of the contour plot
# places      places of w_grid (from 1) that the contour plot shows
# method      how the smoothing parameters are chosen: GCV.Cp (mgcv's default, the paper's as far as it says) or REML,
#             which chooses straight lines less often and whose uncertainty mgcv can add to the covariance
# samples     draws from the posterior; seed: of the draws; alpha: 1 - alpha is the level of the intervals
analyse_gam <- function(data, w_grid, ratios, r_grid, places, k = 3, samples = 2000, seed = 123, alpha = 0.05,
                        method = "GCV.Cp") {
  for (name in c("benchmark", "seed")) data[[name]] <- factor(as.character(data[[name]]))
  formula <- gam_formula(data, k)
  text <- paste(deparse(formula, width.cutoff = 500), collapse = " ")
  attempt <- capturing(mgcv::gam(formula, data = data, method = method)) # nothing else set: mgcv's defaults
  model <- attempt$value
  if (is.null(model)) return(list(formula = text, error = attempt$error, warnings = as.list(attempt$warnings)))

  smooth <- model$smooth[[1]]$first.para:model$smooth[[1]]$last.para
  coefficients <- stats::coef(model)[smooth]
  # With smoothing parameters from GCV there is no correction for their uncertainty; Vp is what mgcv then gives.
  covariance <- stats::vcov(model, unconditional = TRUE)[smooth, smooth]
  set.seed(seed)
  draws <- mgcv::rmvn(samples, coefficients, covariance)
  summary <- summary(model)
  at_ratios <- smooth_bases(model, data, w_grid, ratios)
  at_grid <- smooth_bases(model, data, w_grid, r_grid)
  list(
    formula = text, error = NULL, warnings = as.list(attempt$warnings), n = nrow(data),
    converged = isTRUE(model$converged) && !isFALSE(model$mgcv.conv$fully.converged),
    edf = sum(model$edf), edf_smooth = sum(model$edf[smooth]), p_smooth = summary$s.table[1, "p-value"],
    deviance_explained = summary$dev.expl, gcv = model$gcv.ubre[[1]], residual_sd = sqrt(model$sig2),
    covariance = if (is.null(model$Vc)) "Vp" else "Vc", score_range = max(data$score) - min(data$score),
    coefficients = as.list(stats::setNames(coefficients, NULL)),
    rows = lapply(seq_along(ratios), function(i) optimum_at(at_ratios[[i]], ratios[i], coefficients, draws, alpha)),
    ridge = lapply(seq_along(r_grid), function(i) optimum_at(at_grid[[i]], r_grid[i], coefficients)),
    values = lapply(at_grid, function(basis) signif(as.numeric(basis[places, ] %*% coefficients), 7)),
    versions = list(R = paste(R.version$major, R.version$minor, sep = "."),
                    mgcv = as.character(utils::packageVersion("mgcv")))
  )
}

# The curve of scores over the prompt loss weight at one completion-prompt ratio: whether it is flat, and where it is
# largest (after App. D). Needs capturing() of glmm.R.
#
# data columns: score (numeric: mean relative score of a run), w (numeric: w_p), r (numeric: R_g), curve (text: the runs
# that differ in the weight alone).
#
# The surface has the degrees of freedom of the paper's te(w, r, k = 3): a parabola in w whose coefficients are parabolas
# in r; each curve has a level of its own. There is no penalty: a penalised surface pulls its optimum to where the line is
# straight, and tests of it are not calibrated. The luck of training is shared by neighbouring weights of a curve (they
# have one seed): errors are AR(1) along the study's weights within a curve. rho is estimated by REML, but few curves say little of it, so
# it is taken as at least `rho_least` (docs/statistics.md: 0.55 between seeds of the demo).
curve_at_ratio <- function(data, w_grid, ratio, samples = 4000, seed = 123, alpha = 0.1, rho_least = 0.3) {
  data <- data[order(data$curve, data$w), ]
  data$place <- match(data$w, sort(unique(data$w))) # a curve with few weights has them further apart
  data$curve <- factor(data$curve)
  degree <- min(length(unique(data$r)) - 1, 2)
  powers <- function(w, r) {
    do.call(cbind, lapply(0:degree, function(d) cbind(w, w^2) * r^d))
  }
  x <- powers(data$w, data$r / max(data$r))
  colnames(x) <- paste0("b", seq_len(ncol(x)))
  levels <- if (nlevels(data$curve) > 1) stats::model.matrix(~ curve, data)[, -1, drop = FALSE] else NULL
  frame <- data.frame(data[c("score", "curve", "place")], x)
  frame$levels <- levels
  text <- paste("score ~", if (is.null(levels)) "" else "levels +", paste(colnames(x), collapse = " + "))
  fit <- function(correlation) {
    capturing(nlme::gls(stats::as.formula(text), frame, correlation = correlation))
  }
  attempt <- fit(nlme::corCAR1(form = ~ place | curve))
  rho <- if (is.null(attempt$value)) NA
         else stats::coef(attempt$value$modelStruct$corStruct, unconstrained = FALSE)[[1]]
  if (is.na(rho) || rho < rho_least) attempt <- fit(nlme::corCAR1(rho_least, form = ~ place | curve, fixed = TRUE))
  if (is.null(attempt$value)) return(list(error = attempt$error))
  model <- attempt$value
  ours <- colnames(x)
  coefficients <- stats::coef(model)[ours]
  covariance <- stats::vcov(model)[ours, ours]
  df <- nrow(x) - length(stats::coef(model))
  basis <- powers(w_grid, ratio / max(data$r))
  shape <- sweep(basis, 2, colMeans(basis))
  parts <- svd(shape)
  rank <- sum(parts$d > 1e-6 * parts$d[1])
  turn <- t(parts$v[, seq_len(rank), drop = FALSE])
  estimate <- turn %*% coefficients
  statistic <- drop(t(estimate) %*% solve(turn %*% covariance %*% t(turn), estimate)) / rank
  set.seed(seed)
  draws <- mgcv::rmvn(samples, numeric(length(coefficients)), covariance) / sqrt(stats::rchisq(samples, df) / df)
  draws <- sweep(draws, 2, coefficients, "+")
  places <- max.col(draws %*% t(basis), ties.method = "first")
  predicted <- drop(shape %*% coefficients)
  bounds <- stats::quantile(places, c(alpha / 2, 1 - alpha / 2), type = 1, names = FALSE)
  list(error = NULL, best = which.max(predicted), low = bounds[1], high = bounds[2], range = diff(range(predicted)),
       p_flat = stats::pf(statistic, rank, df, lower.tail = FALSE), df = df, rho = rho, predicted = predicted)
}
