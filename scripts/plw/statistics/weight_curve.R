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
